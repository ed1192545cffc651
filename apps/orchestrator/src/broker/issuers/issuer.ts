import type { Instant, RunId, Secret } from "@mayfly/core";

/** Whom a credential is made for: an attempt, as it stands now. */
export interface Borrower {
  readonly run: RunId;
  /** Which attempt of the run. */
  readonly epoch: number;
  /** How long the attempt may still last; a credential that expires does so soon after. */
  readonly seconds: number;
}

/** Asks the records whether this attempt is still at work. May throw; then nothing is deleted. */
export type IsLive = (run: RunId, epoch: number) => Promise<boolean>;

/** Makes the credentials that the broker shows the model. They stay in the broker: no machine ever sees one. */
export interface Issuer {
  /** Whether another call of `issue` makes another credential; false where one stands for all. */
  readonly makesAnother: boolean;
  /**
   * A credential for one attempt. Not idempotent: every call may make another. Throws CREDENTIAL_UNAVAILABLE when it
   * is worth another try, CREDENTIAL_REFUSED when it is not.
   */
  issue(borrower: Borrower): Promise<Credential>;
  /** Deletes what this issuer made for attempts that are over, however it was left. Returns how many. Throws as above. */
  sweep(isLive: IsLive): Promise<number>;
}

export interface Credential {
  /** Null where the endpoint asks for none. */
  readonly secret: Secret | null;
  /** What the model wants to see, with the secret in it. */
  headers(): Record<string, string>;
  /** Null when it does not expire by itself. */
  readonly expiresAt: Instant | null;
  /** Makes the secret worthless where that is possible. Idempotent. Throws as `issue` does. */
  revoke(): Promise<void>;
}
