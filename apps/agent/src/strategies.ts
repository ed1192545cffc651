import { assertNever } from "@mayfly/core/assert";
import type { SafetyStrategy } from "@mayfly/core/protocol";
import { dropSudo } from "./strategies/drop-sudo.ts";
import { readOnly } from "./strategies/read-only.ts";
import type { Strategy } from "./strategies/strategy.ts";
import { unprivilegedUser } from "./strategies/unprivileged-user.ts";

/** The strategy of that name; null for one this agent does not offer. */
export function strategyFor(name: SafetyStrategy): Strategy | null {
  switch (name) {
    case "unprivileged-user":
      return unprivilegedUser;
    case "drop-sudo":
      return dropSudo;
    case "read-only":
      return readOnly;
    case "unsafe":
      // Codex as root would stand where the agent stands: no gate could vouch for anything.
      return null;
    default:
      return assertNever(name);
  }
}
