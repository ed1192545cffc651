import { assertNever } from "@mayfly/core/assert";
import type { SafetyStrategy } from "@mayfly/core/protocol";
import { dropSudo } from "./strategies/drop-sudo.ts";
import { readOnly } from "./strategies/read-only.ts";
import type { Strategy } from "./strategies/strategy.ts";
import { unsafe } from "./strategies/unsafe.ts";
import { unprivilegedUser } from "./strategies/unprivileged-user.ts";

/** The strategy of that name. Which of them a task may name is decided before an attempt comes here. */
export function strategyFor(name: SafetyStrategy): Strategy {
  switch (name) {
    case "unprivileged-user":
      return unprivilegedUser;
    case "drop-sudo":
      return dropSudo;
    case "read-only":
      return readOnly;
    case "unsafe":
      return unsafe;
    default:
      return assertNever(name);
  }
}
