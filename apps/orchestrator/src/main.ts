import { fileURLToPath } from "node:url";
import { type AppError, faults, isAppError } from "@mayfly/core";
import { CommanderError } from "commander";
import { createProgram } from "./cli/program.ts";
import type { Terminal } from "./cli/terminal.ts";

/** One process of a service ends with its supervisor, whatever ended that; unless it has something to tidy up first. */
let orphaned = (): void => process.exit(1);
process.once("disconnect", () => orphaned());

/** The one place that reads the environment, and the one that ends the process. */
const terminal: Terminal = {
  env: process.env,
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  isRoot: process.getuid?.() === 0,
  isInteractive: process.stderr.isTTY,
  onStop(stop) {
    // A second one asks for what is under way already; a terminal that is closed asks for it too.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, stop);
    }
  },
  program: fileURLToPath(import.meta.url),
  stdin: () => process.stdin,
  tellParent: (message) => void process.send?.(message),
  onOrphaned(end) {
    orphaned = end;
  },
};

try {
  process.exitCode = await createProgram(terminal, process.argv.slice(2));
} catch (error) {
  process.exitCode = report(error);
}
// Whatever still holds the event loop is nobody's business any more: all that mattered was awaited.
process.exit();

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? 0 : faults.INPUT_INVALID.exit;
  }
  if (isAppError(error)) {
    process.stderr.write(`mayfly: ${error.message}\n  ${error.fix}\n${causesOf(error)}`);
    return faults[error.code].exit;
  }
  process.stderr.write(
    `mayfly: a fault of ours: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return 1;
}

function causesOf(error: AppError): string {
  return error.cause instanceof Error ? `  because: ${error.cause.message}\n` : "";
}
