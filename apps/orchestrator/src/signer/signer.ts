import type { Digest, Instant, ReceiptSignature } from "@mayfly/core";
import type { AppAnswers, AppRequests, AppRoute } from "./app-requests.ts";
import type { Purpose } from "./purposes.ts";

/** What a token is asked for: one purpose, one repository. */
export interface MintRequest {
  readonly purpose: Purpose;
  /** GitHub's id of the installation. */
  readonly installation: number;
  /** GitHub's id of the repository; for the purpose `defaults`, of one whose owner's `.github` is meant. */
  readonly repository: number;
  /** The login of the repository's owner: with the purpose `defaults`, and with no other. */
  readonly owner?: string | undefined;
}

/** An installation token. It has been written down before it is handed out, so that it dies whoever else does. */
export interface MintedToken {
  readonly token: string;
  readonly expiresAt: Instant;
}

/** One half of a key pair that receipts are signed with. */
export interface ReceiptPublicKey {
  /** The SHA-256 of the key's DER form (SPKI). */
  readonly keyId: Digest;
  /** SPKI in PEM. */
  readonly pem: string;
}

/**
 * What the one process that holds the App's private key does, and all it does. Every method throws GITHUB_UNAVAILABLE,
 * GITHUB_REFUSED (both with GitHub's status in their cause), INPUT_INVALID for what is on none of its lists,
 * STORE_UNAVAILABLE when its ledger cannot be written, and, through the client, SERVICE_NOT_RUNNING. All may be repeated.
 */
export interface Signer {
  /** A new token each time. */
  mint(request: MintRequest): Promise<MintedToken>;
  /** The token is dead, or will be tried again until it is. Idempotent; a token the signer does not know is none of its. */
  revoke(token: string): Promise<void>;
  /** One of a closed list of requests, with the App's own right. */
  asApp<Route extends AppRoute>(route: Route, parameters: AppRequests[Route]): Promise<AppAnswers[Route]>;
  /** Signs a receipt: the same for the same receipt while the key is the same. Bound: `RECEIPT_CHARS_MAX`. */
  signReceipt(receipt: string): Promise<ReceiptSignature>;
  /** The key in use first, then every earlier one. */
  publicKeys(): Promise<readonly ReceiptPublicKey[]>;
}
