import type { Terminal } from "../../apps/orchestrator/src/cli/terminal.ts";

/** A terminal that nobody watches, and what a command has said on it. */
export interface TestTerminal {
  readonly terminal: Terminal;
  /** All of both streams so far. */
  said(): { readonly out: string; readonly err: string };
}

/** @param given What of it a test wants otherwise; a `stderr` of its own is told as well. */
export function createTestTerminal(given: Partial<Omit<Terminal, "stdout">> = {}): TestTerminal {
  let [out, err] = ["", ""];
  const terminal: Terminal = {
    env: { HOME: "/nowhere" },
    isRoot: false,
    isInteractive: false,
    onStop: () => undefined,
    program: "",
    stdin: () => (async function* none() {})(),
    tellParent: () => undefined,
    onOrphaned: () => undefined,
    ...given,
    stdout: (text) => void (out += text),
    stderr(text) {
      err += text;
      given.stderr?.(text);
    },
  };
  return { terminal, said: () => ({ out, err }) };
}
