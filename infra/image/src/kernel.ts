import { copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { AppError } from "@mayfly/core";

import { layerModules } from "./recipe.ts";
import { runTool } from "./run-tool.ts";

const UNPACK_MS = 5 * 60_000;

/**
 * Takes the kernel and the recipe's modules out of the kernel's package: `vmlinuz` as UEFI starts it, `vmlinux` and
 * `modules/*.ko` under `outDir`. An uncompressed kernel starts faster, above all under emulation.
 *
 * @returns the kernel's release, as uname prints it.
 */
export async function unpackKernel(options: {
  deb: string;
  workDir: string;
  outDir: string;
  signal?: AbortSignal | undefined;
}): Promise<string> {
  const { deb, workDir, outDir } = options;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const dir = join(workDir, "kernel");
  await runTool({ command: "dpkg-deb", args: ["-x", deb, dir], timeoutMs: UNPACK_MS, ...signal });
  const [release, ...others] = await readdir(join(dir, "lib/modules"));
  if (release === undefined || others.length > 0) {
    throw new AppError("IMAGE_BUILD_FAILED", "The kernel's package does not hold exactly one kernel");
  }
  const payload = join(workDir, "vmlinux.lz4");
  const vmlinuz = await readFile(join(dir, "boot", `vmlinuz-${release}`));
  await writeFile(join(outDir, "vmlinuz"), vmlinuz);
  await writeFile(payload, findPayload(vmlinuz));
  await runTool({
    command: "lz4",
    args: ["-d", "-q", "-f", payload, join(outDir, "vmlinux")],
    timeoutMs: UNPACK_MS,
    ...signal,
  });
  await mkdir(join(outDir, "modules"));
  for (const module of layerModules()) {
    await copyFile(join(dir, "lib/modules", release, module), join(outDir, "modules", basename(module)));
  }
  return release;
}

const SECTOR_BYTES = 512;
const LZ4_LEGACY_MAGIC = 0x184c2102;
/** The payload is followed by its uncompressed length. */
const LENGTH_BYTES = 4;

/** The compressed kernel inside a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length). */
export function findPayload(image: Buffer): Buffer {
  if (image.length < 0x250 || image.toString("latin1", 0x202, 0x206) !== "HdrS") {
    throw new AppError("IMAGE_BUILD_FAILED", "The kernel's package holds no bzImage");
  }
  const setupSectors = image.readUInt8(0x1f1) || 4;
  const start = (setupSectors + 1) * SECTOR_BYTES + image.readUInt32LE(0x248);
  const end = start + image.readUInt32LE(0x24c) - LENGTH_BYTES;
  if (end > image.length || end - start < LENGTH_BYTES || image.readUInt32LE(start) !== LZ4_LEGACY_MAGIC) {
    throw new AppError("IMAGE_BUILD_FAILED", "The kernel is not compressed with lz4");
  }
  return image.subarray(start, end);
}
