import type { Secret } from "@mayfly/core";
import type { Credential, Issuer } from "./issuer.ts";

/** A key that is the same for every call, and how the endpoint wants to see it. */
export interface FixedKey {
  /** Null where the endpoint asks for none. */
  readonly key: Secret | null;
  /** In lower case. */
  readonly header: string;
  /** Stands before the key, with its space. */
  readonly prefix: string;
}

/** What the model wants to see, with the key in it. */
export function headersOf({ key, header, prefix }: FixedKey): Record<string, string> {
  return key === null ? {} : { [header]: `${prefix}${key.reveal()}` };
}

/**
 * One key for all attempts, or none: OpenAI's as the operator gave it (`static`), or that of any endpoint that speaks
 * the Responses API (`compatible`). Nothing is made, so nothing is revoked; what protects it is that it stays here.
 */
export function createFixedKeyIssuer(shown: FixedKey): Issuer {
  return {
    makesAnother: false,
    issue: async (): Promise<Credential> => ({
      secret: shown.key,
      headers: () => headersOf(shown),
      expiresAt: null,
      revoke: async () => undefined,
    }),
    sweep: async () => 0,
  };
}
