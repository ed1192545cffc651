import type { Secret } from "@mayfly/core";
import type { Credential, Issuer } from "./issuer.ts";

/**
 * One key for all attempts, or none: OpenAI's as the operator gave it (`static`), or that of any endpoint that speaks
 * the Responses API (`compatible`). Nothing is made, so nothing is revoked; what protects it is that it stays here.
 */
export function createFixedKeyIssuer(options: {
  key: Secret | null;
  /** In lower case. */
  header: string;
  /** Stands before the key, with its space. */
  prefix: string;
}): Issuer {
  const { key, header, prefix } = options;
  return {
    makesAnother: false,
    issue: async (): Promise<Credential> => ({
      secret: key,
      headers: (): Record<string, string> => (key === null ? {} : { [header]: `${prefix}${key.reveal()}` }),
      expiresAt: null,
      revoke: async () => undefined,
    }),
    sweep: async () => 0,
  };
}
