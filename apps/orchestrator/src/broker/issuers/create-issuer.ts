import { assertNever, type Clock, type IssuerConfig } from "@mayfly/core";
import type { Logger } from "pino";
import type { Wait } from "./admin-request.ts";
import { createFixedKeyIssuer } from "./fixed-key.ts";
import type { Issuer } from "./issuer.ts";
import { createServiceAccountIssuer } from "./openai-service-account.ts";

/** The issuer that the settings name. `wait` is for tests whose clock is their own. */
export function createIssuer(config: IssuerConfig, deps: { clock: Clock; log: Logger; wait?: Wait }): Issuer {
  switch (config.kind) {
    case "static":
      return createFixedKeyIssuer({ key: config.key, header: "authorization", prefix: "Bearer " });
    case "compatible":
      return createFixedKeyIssuer(config);
    case "openai-service-account":
      return createServiceAccountIssuer(config, deps);
    default:
      return assertNever(config);
  }
}
