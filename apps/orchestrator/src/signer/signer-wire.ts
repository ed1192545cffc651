import { RECEIPT_CHARS_MAX } from "@mayfly/core";
import { z } from "zod";
import { appRequests, type AppRoute } from "./app-requests.ts";
import { purposeNames } from "./purposes.ts";

/** What is not an answer: GitHub's no, with its status, so that the asker decides as if it had asked itself. */
interface SignerRefusal {
  readonly code: "GITHUB_UNAVAILABLE" | "GITHUB_REFUSED";
  readonly status: number | null;
  readonly message: string;
}

export type SignerAnswer<T> = { readonly answer: T } | { readonly refused: SignerRefusal };

/** The cause of a fault that came from the signer: the HTTP status that GitHub gave it. */
export class UpstreamStatus extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`GitHub answered the signer with ${status}`);
    this.name = "UpstreamStatus";
    this.status = status;
  }
}

/** GitHub's tokens have 40 to 520 characters today. */
const TOKEN = /^[A-Za-z0-9_.-]{1,2048}$/;
const id = z.int().positive();
const session = z.string().regex(/^[A-Za-z0-9-]{16,64}$/);

/** What each call of the signer takes; nothing else is read. */
export const bodies = {
  mint: z.strictObject({
    session,
    purpose: z.enum(purposeNames),
    installation: id,
    repository: id,
    // Which purposes need it is for the signer itself to say.
    owner: z.string().max(100).optional(),
  }),
  revoke: z.strictObject({ session, token: z.string().regex(TOKEN) }),
  asApp: z.strictObject({
    session,
    route: z.enum(Object.keys(appRequests) as [AppRoute, ...AppRoute[]]),
    // Read by the route's own schema.
    parameters: z.unknown(),
  }),
  signReceipt: z.strictObject({ session, receipt: z.string().max(RECEIPT_CHARS_MAX) }),
  publicKeys: z.strictObject({ session }),
};
