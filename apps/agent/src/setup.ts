import { once } from "node:events";
import { limits } from "@mayfly/core/limits";
import type { AgentEvent } from "@mayfly/core/protocol";
import type { Cgroup } from "./cgroup.ts";
import { createLineSplitter } from "./codex-line.ts";
import { settle, whenClosed } from "./confinement.ts";
import type { Confinement } from "./confinement.ts";
import { StepFailure, shorten } from "./failure.ts";
import type { Stop } from "./stop.ts";

// Codex's own events need their room among those kept of a run; what a build says at length is said again at its end.
const LINES_PER_COMMAND_MAX = 200;
// The protocol's bound on a line, with room for JSON's escaping of it.
const LINE_BYTES_MAX = limits.eventBytesMax / 2;
// What a person needs to see of a command that failed; the failure's own bound is 2,000 characters.
const TAIL_CHARS_MAX = 1_500;

/** The folder, then the command: neither is ever part of the shell's own text but as the task's author wrote it. */
const IN_FOLDER = 'cd -- "$1" && exec /bin/sh -e -c "$2"';

/**
 * Runs a task's set-up commands one after the other where Codex will run, as its user, before there is any key. Each ends
 * with all its children. What they say goes out as events, the first lines of each.
 *
 * @param folder Where they run.
 * @returns "stopped" when the attempt's time ran out or it was told to end. Throws StepFailure for a command that fails.
 */
export async function runSetup(deps: {
  confinement: Pick<Confinement, "start">;
  cgroup: Cgroup;
  commands: readonly string[];
  folder: string;
  /** Besides what everything gets. */
  environment?: Readonly<Record<string, string>>;
  push: (event: AgentEvent) => void;
  stop: Stop;
}): Promise<"done" | "stopped"> {
  const { commands, push, stop } = deps;
  for (const [index, command] of commands.entries()) {
    const name = `set-up command ${index + 1} of ${commands.length}`;
    if (stop.reason() !== null) {
      return "stopped";
    }
    push({ type: "note", text: `${name} begins` });
    const { how, tail } = await runCommand(deps, command);
    if (stop.reason() !== null) {
      return "stopped";
    }
    push({ type: "note", text: `${name}: ${how}` });
    if (how !== DONE) {
      throw new StepFailure("setup", `${name}: ${how}${tail === "" ? "" : `; it said at its end:\n${tail}`}`);
    }
  }
  return "done";
}

const DONE = "exit code 0";

async function runCommand(
  deps: Omit<Parameters<typeof runSetup>[0], "commands">,
  command: string,
): Promise<{ how: string; tail: string }> {
  const { confinement, cgroup, folder, environment = {}, push, stop } = deps;
  const told = createTelling(push);
  const program = { path: "/bin/sh", args: ["-c", IN_FOLDER, "sh", folder, command], environment };
  const child = confinement.start(program, cgroup, ["ignore", "pipe", "pipe"]);
  const closed = whenClosed(child);
  child.stdout?.on("data", told.hear);
  child.stderr?.on("data", told.hearError);
  function end(): void {
    child.kill("SIGKILL");
  }
  stop.signal.addEventListener("abort", end);
  if (stop.signal.aborted) {
    end();
  }
  let exit: [number | null, NodeJS.Signals | null];
  try {
    exit = (await once(child, "exit")) as typeof exit;
  } finally {
    stop.signal.removeEventListener("abort", end);
  }
  // Nothing that a command started lives on into the next one, let alone until there is a key.
  await cgroup.empty();
  await settle(child, closed);
  const [code, signal] = exit;
  return { how: signal === null ? `exit code ${code}` : `ended by ${signal}`, tail: told.end() };
}

/** Passes on the first lines of a command and remembers its last words. */
function createTelling(push: (event: AgentEvent) => void): {
  hear: (chunk: Buffer) => void;
  hearError: (chunk: Buffer) => void;
  end: () => string;
} {
  let count = 0;
  let tail = "";
  function onLine(line: string): void {
    const text = line.toWellFormed();
    count += 1;
    if (count <= LINES_PER_COMMAND_MAX) {
      push({ type: "setup", line: shorten(text, LINE_BYTES_MAX) });
    }
    tail = `${tail}${tail === "" ? "" : "\n"}${text}`.slice(-TAIL_CHARS_MAX).toWellFormed();
  }
  // Each stream has lines of its own; between them the order is as they arrive.
  const output = createLineSplitter({ bytesMax: LINE_BYTES_MAX, onLine });
  const errors = createLineSplitter({ bytesMax: LINE_BYTES_MAX, onLine });
  return {
    hear: output.write,
    hearError: errors.write,
    end() {
      output.end();
      errors.end();
      if (count > LINES_PER_COMMAND_MAX) {
        push({ type: "note", text: `${count - LINES_PER_COMMAND_MAX} more lines of it were not kept` });
      }
      return tail.trim();
    },
  };
}
