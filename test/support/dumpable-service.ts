/**
 * `mayfly serve` whose machines' memory can be written out: asked over IPC, since no setting allows it. Started in place
 * of the command line by `startWorld`; its supervisor passes questions and answers on between the test and the service.
 */
import { fileURLToPath } from "node:url";
import { isMachineId } from "@mayfly/core";
import { serve } from "../../apps/orchestrator/src/cli/serve.ts";
import type { Terminal } from "../../apps/orchestrator/src/cli/terminal.ts";
import type { MachineHost } from "../../apps/orchestrator/src/process/machine-host.ts";
import { runProcess } from "../../apps/orchestrator/src/process/processes.ts";
import type { Part } from "../../apps/orchestrator/src/process/supervise.ts";

/** Asks for all memory of that machine, in a file. */
export interface DumpRequest {
  readonly machine: string;
  readonly toFile: string;
}

/** Says when it is there, or why not. */
export interface DumpAnswer {
  readonly fault: string | null;
}

const terminal: Terminal = {
  env: process.env,
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  isRoot: process.getuid?.() === 0,
  isInteractive: false,
  onStop(stop) {
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
  },
  program: fileURLToPath(import.meta.url),
  stdin: () => process.stdin,
  tellParent: (message) => void process.send?.(message),
  onOrphaned: () => undefined,
};

async function dump({ qemu }: MachineHost, { machine, toFile }: DumpRequest): Promise<DumpAnswer> {
  if (qemu === null || !isMachineId(machine)) {
    return { fault: `${machine} is no machine` };
  }
  return qemu.dumpMemory(machine, toFile).then(
    () => ({ fault: null }),
    (error: unknown) => ({ fault: String(error) }),
  );
}

function isAnswer(message: unknown): message is DumpAnswer {
  return typeof message === "object" && message !== null && "fault" in message;
}

const [, , verb, name] = process.argv;
process.once("disconnect", () => process.exit(1));
if (verb === "process") {
  await runProcess(terminal, name as Part["name"], {
    debugDump: true,
    onMachines: (host) => {
      process.on("message", (request: DumpRequest) => {
        void dump(host, request).then((answer) => process.send?.(answer));
      });
    },
  });
} else {
  await serve(
    terminal,
    {},
    {
      onMain: (child) => {
        process.on("message", (request: DumpRequest) => child.send(request));
        child.on("message", (message) => (isAnswer(message) ? process.send?.(message) : undefined));
      },
    },
  );
}
process.exit();
