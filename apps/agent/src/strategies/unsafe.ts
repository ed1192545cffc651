import type { Strategy } from "./strategy.ts";

/**
 * Codex as root in the machine, with every right that the agent has: from its start on nothing that the agent does or
 * says can be vouched for. What holds then is what the broker and the host see to: there is nothing to steal in here,
 * and nowhere to take it.
 */
export const unsafe: Strategy = {
  name: "unsafe",
  user: "root",
  sandbox: (asked) => asked,
  note: "unsafe: Codex runs as root in this machine.",
};
