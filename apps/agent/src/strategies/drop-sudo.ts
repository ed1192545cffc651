import type { Strategy } from "./strategy.ts";

/** Its meaning is met before it starts: there is no sudo in the machine to be dropped, which the start gate proves. */
export const dropSudo: Strategy = {
  name: "drop-sudo",
  user: "codex",
  sandbox: (asked) => asked,
  note: "drop-sudo: the machine has no sudo to drop; the start gate looks for it, and Codex runs as an unprivileged user.",
};
