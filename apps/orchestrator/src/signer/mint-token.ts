import { AppError, type Instant } from "@mayfly/core";
import type { Octokit } from "@octokit/core";
import { z } from "zod";
import { namingFaults } from "./github-faults.ts";
import { DEFAULTS_PURPOSE, DEFAULTS_REPOSITORY, purposes } from "./purposes.ts";
import type { MintRequest } from "./signer.ts";

const answerSchema = z.object({
  token: z.string().min(1).max(2048),
  expires_at: z.iso.datetime({ offset: true }),
  permissions: z.record(z.string(), z.string()),
  repositories: z
    .array(z.object({ id: z.number(), name: z.string().optional(), owner: z.object({ login: z.string() }).optional() }))
    .optional(),
});

type Permissions = Readonly<Record<string, string>>;

/** What GitHub gives every token unasked. */
const ALWAYS_GIVEN: Permissions = { metadata: "read" };

/** A login as GitHub writes it; underscores come with managed users. */
const LOGIN = /^[A-Za-z0-9_-]{1,100}$/;
/** As much of an answer of another shape as is looked through for a token. */
const SEARCHED_CHARS_MAX = 64 * 1024;
/** What can stand in a header, and so be revoked. */
const TOKEN = /^[\x21-\x7e]{1,2048}$/;
/** What GitHub's installation tokens look like, wherever they stand. */
const TOKEN_LOOK = /(?<![A-Za-z0-9_])ghs_[A-Za-z0-9_.-]{36,2044}/;

/** What GitHub minted; with a refusal if it is not what was asked for, and then it is for revoking only. */
interface Minted {
  readonly token: string;
  /** Null where the answer does not say. */
  readonly expiresAt: Instant | null;
  readonly refusal: AppError | null;
}

/**
 * Has GitHub mint a token, always with one repository and with permissions named. Throws GITHUB_UNAVAILABLE,
 * GITHUB_REFUSED; then there is no token, or none that can be recognised.
 */
export async function mintToken(app: Pick<Octokit, "request">, request: MintRequest): Promise<Minted> {
  const { purpose, installation, repository, owner } = request;
  const isByName = purpose === DEFAULTS_PURPOSE;
  if (
    !Object.hasOwn(purposes, purpose) ||
    ![installation, repository].every((id) => Number.isSafeInteger(id) && id > 0) ||
    (isByName ? typeof owner !== "string" || !LOGIN.test(owner) : owner !== undefined)
  ) {
    throw new AppError("INPUT_INVALID", "the signer does not mint for this");
  }
  const { permissions } = purposes[purpose];
  const { data } = await namingFaults(() =>
    app.request("POST /app/installations/{installation_id}/access_tokens", {
      installation_id: installation,
      ...(isByName ? { repositories: [DEFAULTS_REPOSITORY] } : { repository_ids: [repository] }),
      permissions,
      // One whose answer was lost is in nobody's hands: asking again would make another such.
      request: { retries: 0 },
    }),
  );
  const read = answerSchema.safeParse(data);
  if (!read.success) {
    const refusal = new AppError("GITHUB_UNAVAILABLE", "GitHub's answer is not that of a token");
    const found = tokenIn(data);
    if (found === null) {
      throw refusal;
    }
    return { token: found, expiresAt: null, refusal };
  }
  const { token, expires_at: expiresAt, permissions: given, repositories } = read.data;
  const isElsewhere = isByName
    ? !isDefaultsOf(owner ?? "", repositories)
    : repositories?.some(({ id }) => id !== repository) === true;
  const isWider = !isWithin(given, permissions) || isElsewhere;
  const refusal = isWider
    ? new AppError("GITHUB_REFUSED", "GitHub minted a token that may do more than was asked")
    : null;
  return { token, expiresAt: Date.parse(expiresAt), refusal };
}

/** One by name is taken only with GitHub's word that it is for that repository of that account, and for no other. */
function isDefaultsOf(owner: string, repositories: z.infer<typeof answerSchema>["repositories"]): boolean {
  const [only, ...more] = repositories ?? [];
  return (
    more.length === 0 &&
    only?.name?.toLowerCase() === DEFAULTS_REPOSITORY &&
    only.owner?.login.toLowerCase() === owner.toLowerCase()
  );
}

/** A token in an answer of whatever shape: by its name, else by its look. */
function tokenIn(data: unknown): string | null {
  const named = z.object({ token: z.string().regex(TOKEN) }).safeParse(data);
  const text = typeof data === "string" ? data : (JSON.stringify(data) ?? "");
  return named.success ? named.data.token : (TOKEN_LOOK.exec(text.slice(0, SEARCHED_CHARS_MAX))?.[0] ?? null);
}

function isWithin(given: Permissions, asked: Permissions): boolean {
  const most: Permissions = { ...ALWAYS_GIVEN, ...asked };
  return Object.entries(given).every(([name, level]) => {
    return Object.hasOwn(most, name) && (level === most[name] || (level === "read" && most[name] === "write"));
  });
}
