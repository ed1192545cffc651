import { z } from "zod";

import { debSchema, npmSchema } from "./lock.ts";

const hexSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** A file by its content. */
export const fileSchema = z.strictObject({ sha256: hexSchema, size: z.number().int().nonnegative() });

export type ImageFile = z.infer<typeof fileSchema>;

/** Packages of one image; a Debian minimum has about a hundred. */
const PACKAGES_MAX = 1000;

/**
 * What an image is made of. Its canonical JSON, hashed, is the image's digest, so whoever knows the digest knows every
 * byte that a machine boots.
 */
export const manifestSchema = z.strictObject({
  schema: z.literal(1),
  architecture: z.literal("x86_64"),
  files: z.strictObject({ vmlinux: fileSchema, "root.erofs": fileSchema, "initrd.cpio": fileSchema }),
  kernelRelease: z.string().max(200),
  /** Parameters that the kernel needs, without the caller's own. */
  kernelCommandLine: z.strictObject({
    accelerated: z.array(z.string()).max(50),
    emulated: z.array(z.string()).max(50),
  }),
  recipe: hexSchema,
  lock: hexSchema,
  agent: hexSchema,
  kernel: debSchema,
  debs: z.array(debSchema).max(PACKAGES_MAX),
  npm: z.array(npmSchema).max(PACKAGES_MAX),
  /** Packages that are not the locked ones. */
  substituted: z
    .array(z.strictObject({ name: z.string(), locked: z.string().nullable(), used: z.string().nullable() }))
    .max(PACKAGES_MAX),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** The names of an image's files, in the order they are checked. */
export const imageFiles = ["vmlinux", "initrd.cpio", "root.erofs"] as const;
