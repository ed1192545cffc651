import { z } from "zod";

/** GitHub's own bound on names, rounded up. */
export const NAME_CHARS_MAX = 256;
/** Titles to 256, bodies to 65,536 characters of up to 4 bytes. */
export const BODY_CHARS_MAX = 300_000;
const REF_CHARS_MAX = 1_024;

export const Id = z.int().min(1);
export const Name = z.string().min(1).max(NAME_CHARS_MAX);
export const Sha = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/);
export const Ref = z.string().min(1).max(REF_CHARS_MAX);
/** GitHub writes times as ISO 8601, and `pushed_at` in some events as seconds. */
export const Time = z.union([
  z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
  z
    .int()
    .min(0)
    .transform((seconds) => seconds * 1_000),
]);
export const Installation = z.object({ id: Id });
export const Sender = z.object({ id: Id, login: Name, type: z.enum(["User", "Bot", "Organization", "Mannequin"]) });
export const Action = z.object({ action: z.string().regex(/^[a-z_]{1,64}$/) });
export const RepositoryPart = z.object({
  id: Id,
  name: Name,
  owner: z.object({ login: Name }),
  default_branch: Ref,
});

const Place = z.object({ installation: Installation, repository: RepositoryPart });

/** Where something happened, whatever it was: which installation, which repository. Null where a payload names no such. */
export function readPlace(body: unknown): { installation: number; id: number; owner: string; name: string } | null {
  const { data } = Place.safeParse(body);
  return data === undefined
    ? null
    : {
        installation: data.installation.id,
        id: data.repository.id,
        owner: data.repository.owner.login,
        name: data.repository.name,
      };
}

/** Names the place and the rule, never the value: it is a stranger's text. */
export function invalid(error: z.ZodError): { readonly kind: "invalid"; readonly reason: string } {
  const [issue] = error.issues;
  const place = issue === undefined || issue.path.length === 0 ? "the body" : issue.path.map(String).join(".");
  return { kind: "invalid", reason: `${place}: ${(issue?.message ?? "is not understood").slice(0, 200)}` };
}
