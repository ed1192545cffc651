import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { POWER_OFF_SCRIPT } from "./power.ts";

/** Ends the machine at its time, even if the agent hangs. */
export interface Watchdog {
  /** Replaces the time that was set before. */
  arm(seconds: number): void;
}

/** Sleeps outside of us, so nothing that goes wrong in the agent's own process can make it late. */
export function createWatchdog(): Watchdog {
  let sleeper: ChildProcess | null = null;

  function arm(seconds: number): void {
    const before = sleeper;
    const script = `/bin/busybox sleep "$1"; ${POWER_OFF_SCRIPT}`;
    sleeper = spawn("/bin/sh", ["-c", script, "sh", String(Math.ceil(seconds))], {
      env: {},
      stdio: "ignore",
      detached: true,
    });
    sleeper.unref();
    // Only now: there is no moment without one. The sleep itself is left to end on its own; without its shell it is harmless.
    before?.kill("SIGKILL");
  }

  return { arm };
}
