import type { Strategy } from "./strategy.ts";

/** Codex as a user of its own that has nothing: no groups, no capabilities, no way to gain any, no network, no secrets. */
export const unprivilegedUser: Strategy = {
  name: "unprivileged-user",
  user: "codex",
  sandbox: (asked) => asked,
  note: null,
};
