import { assertNever, type Clock, type IssuerConfig } from "@mayfly/core";
import type { Logger } from "pino";
import type { Wait } from "./admin-request.ts";
import { createFixedKeyIssuer, type FixedKey } from "./fixed-key.ts";
import type { Issuer } from "./issuer.ts";
import { createServiceAccountIssuer } from "./openai-service-account.ts";

/** The issuer that the settings name. `wait` is for tests whose clock is their own. */
export function createIssuer(config: IssuerConfig, deps: { clock: Clock; log: Logger; wait?: Wait }): Issuer {
  switch (config.kind) {
    case "static":
    case "compatible":
      return createFixedKeyIssuer(fixedKeyOf(config));
    case "openai-service-account":
      return createServiceAccountIssuer(config, deps);
    default:
      return assertNever(config);
  }
}

/** The operator's own key as the endpoint wants to see it. */
export function fixedKeyOf(config: Exclude<IssuerConfig, { kind: "openai-service-account" }>): FixedKey {
  return config.kind === "static" ? { key: config.key, header: "authorization", prefix: "Bearer " } : config;
}
