/**
 * `mayfly serve` whose machines' memory can be written out: asked over IPC, since no setting allows it. Started in place
 * of the service by `startWorld`.
 */
import { isMachineId } from "@mayfly/core";
import type { MachineHost } from "../../apps/orchestrator/src/cli/machine-host.ts";
import { serve } from "../../apps/orchestrator/src/cli/serve.ts";
import type { Terminal } from "../../apps/orchestrator/src/cli/terminal.ts";

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
};

async function dump({ provider }: MachineHost, { machine, toFile }: DumpRequest): Promise<DumpAnswer> {
  if (!isMachineId(machine)) {
    return { fault: `${machine} is no machine` };
  }
  return provider.dumpMemory(machine, toFile).then(
    () => ({ fault: null }),
    (error: unknown) => ({ fault: String(error) }),
  );
}

await serve(
  terminal,
  {},
  {
    debugDump: true,
    onMachines: (host) => {
      process.on("message", (request: DumpRequest) => {
        void dump(host, request).then((answer) => process.send?.(answer));
      });
    },
  },
);
process.exit();
