import type { Terminal } from "./terminal.ts";

/** How a long step says that it is alive. */
export interface Progress {
  /** A step's words, with the seconds since the first. */
  say(message: string): void;
}

/** Lines on standard error, each with the time since this began. */
export function createProgress(terminal: Terminal): Progress {
  const began = performance.now();
  return {
    say(message) {
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      terminal.stderr(`${seconds.padStart(6)} s  ${message}\n`);
    },
  };
}
