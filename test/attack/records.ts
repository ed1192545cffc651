import {
  decideMachine,
  decideRun,
  defaultTask,
  type Digest,
  intendLaunch,
  type Launch,
  limits,
  type Machine,
  type MachineId,
  recordMachine,
  requestRun,
  type Run,
  type TaskSpec,
} from "@mayfly/core";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";

const SHA = "1".repeat(40);
const IMAGE = `sha256:${"0".repeat(64)}` as Digest;

/** A run on a local folder whose source is packed. */
export function queuedRun(now: number, task: Partial<TaskSpec> = {}): Run {
  const request = {
    origin: { kind: "local", user: "somebody", path: "/somewhere" },
    requestedAt: now,
    task: { ...defaultTask("local", "gpt-5.5"), ...task },
    taskDigest: null,
    prompt: "Review this.",
  } as const;
  const layout = { head: SHA, base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "0".repeat(64) };
  return decideRun(requestRun({ id: randomIds.run(now), request, now }), { type: "source_prepared", layout }, now).run;
}

/** A launch of one machine that is only written down. */
function openLaunch(now: number): Launch {
  const provider = { name: "qemu", acceleration: "emulated", image: IMAGE, spec: IMAGE } as const;
  return intendLaunch({ id: randomIds.launch(now), provider, count: 1, plan: {}, now, runMsMax: limits.runMsMax });
}

/** A machine whose launch was asked for and taken. */
export function bootingMachine(now: number): Machine {
  const launch = openLaunch(now);
  return recordMachine({ id: launch.id.replace("lch_", "mch_") as MachineId, launch, now });
}

/** A machine that has said its first words. */
export function readyMachine(now: number): Machine {
  return decideMachine(bootingMachine(now), { type: "hello" }, now).machine;
}
