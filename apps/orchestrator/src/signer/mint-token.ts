import { AppError, type Instant } from "@mayfly/core";
import type { Octokit } from "@octokit/core";
import { z } from "zod";
import { namingFaults } from "./github-faults.ts";
import { purposes } from "./purposes.ts";
import type { MintRequest } from "./signer.ts";

const answerSchema = z.object({
  token: z.string().min(1).max(2048),
  expires_at: z.iso.datetime({ offset: true }),
  permissions: z.record(z.string(), z.string()),
  repositories: z.array(z.object({ id: z.number() })).optional(),
});

type Permissions = Readonly<Record<string, string>>;

/** What GitHub gives every token unasked. */
const ALWAYS_GIVEN: Permissions = { metadata: "read" };

/** What GitHub minted; with a refusal if it may do more than was asked, and then it is for revoking only. */
interface Minted {
  readonly token: string;
  readonly expiresAt: Instant;
  readonly refusal: AppError | null;
}

/** Has GitHub mint a token, always with one repository and with permissions named. Throws GITHUB_UNAVAILABLE, GITHUB_REFUSED. */
export async function mintToken(app: Pick<Octokit, "request">, request: MintRequest): Promise<Minted> {
  const { purpose, installation, repository } = request;
  if (
    !Object.hasOwn(purposes, purpose) ||
    ![installation, repository].every((id) => Number.isSafeInteger(id) && id > 0)
  ) {
    throw new AppError("INPUT_INVALID", "the signer does not mint for this");
  }
  const { permissions } = purposes[purpose];
  const { data } = await namingFaults(() =>
    app.request("POST /app/installations/{installation_id}/access_tokens", {
      installation_id: installation,
      repository_ids: [repository],
      permissions,
      // One whose answer was lost is in nobody's hands: asking again would make another such.
      request: { retries: 0 },
    }),
  );
  const read = answerSchema.safeParse(data);
  if (!read.success) {
    throw new AppError("GITHUB_UNAVAILABLE", "GitHub's answer holds no token");
  }
  const { token, expires_at: expiresAt, permissions: given, repositories } = read.data;
  const isWider = !isWithin(given, permissions) || repositories?.some(({ id }) => id !== repository) === true;
  const refusal = isWider
    ? new AppError("GITHUB_REFUSED", "GitHub minted a token that may do more than was asked")
    : null;
  return { token, expiresAt: Date.parse(expiresAt), refusal };
}

function isWithin(given: Permissions, asked: Permissions): boolean {
  const most: Permissions = { ...ALWAYS_GIVEN, ...asked };
  return Object.entries(given).every(([name, level]) => {
    return Object.hasOwn(most, name) && (level === most[name] || (level === "read" && most[name] === "write"));
  });
}
