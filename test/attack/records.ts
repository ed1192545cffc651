import {
  decideMachine,
  decideRun,
  defaultTask,
  type Digest,
  intendMachine,
  limits,
  type Machine,
  requestRun,
  type Run,
} from "@mayfly/core";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";

const SHA = "1".repeat(40);
const IMAGE = `sha256:${"0".repeat(64)}` as Digest;

/** A run on a local folder whose source is packed. */
export function queuedRun(now: number): Run {
  const request = {
    origin: { kind: "local", user: "somebody", path: "/somewhere" },
    requestedAt: now,
    task: defaultTask("local", "gpt-5.5"),
    taskDigest: null,
    prompt: "Review this.",
  } as const;
  const layout = { head: SHA, base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "0".repeat(64) };
  return decideRun(requestRun({ id: randomIds.run(now), request, now }), { type: "source_prepared", layout }, now).run;
}

/** A machine whose launch was asked for and taken. */
export function bootingMachine(now: number): Machine {
  const machine = intendMachine({
    id: randomIds.machine(now),
    provider: "qemu",
    acceleration: "emulated",
    image: IMAGE,
    now,
    runMsMax: limits.runMsMax,
  });
  return decideMachine(machine, { type: "launched" }, now).machine;
}

/** A machine that has said its first words. */
export function readyMachine(now: number): Machine {
  return decideMachine(bootingMachine(now), { type: "hello" }, now).machine;
}
