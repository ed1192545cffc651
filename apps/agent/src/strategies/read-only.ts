import type { Strategy } from "./strategy.ts";

/** The unprivileged user, and the CLI's sandbox lets its commands write nothing. */
export const readOnly: Strategy = {
  name: "read-only",
  user: "codex",
  sandbox: () => "read-only",
  note: null,
};
