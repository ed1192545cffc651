import { chmodSync, writeFileSync } from "node:fs";
import type { Brokers } from "@mayfly/core/enrolment";
import { KeyGrant, ResultFrame } from "@mayfly/core/protocol";
import type { Assignment } from "@mayfly/core/protocol";
import { createCgroup, machineLimits } from "./cgroup.ts";
import type { Cgroup } from "./cgroup.ts";
import type { Channel } from "./channel.ts";
import { runCodex } from "./codex.ts";
import type { CodexEnd } from "./codex.ts";
import { collectResult, fitResult } from "./collect.ts";
import type { Confinement } from "./confinement.ts";
import { createEventSender } from "./events.ts";
import type { EventSender } from "./events.ts";
import { StepFailure, describeFailure, inStep } from "./failure.ts";
import { failedChecks, inspectConfinement } from "./gate.ts";
import { startHeartbeat } from "./heartbeat.ts";
import { workingFolder } from "./invocation.ts";
import { startKeyRenewal } from "./key.ts";
import { places } from "./places.ts";
import type { Programs } from "./programs.ts";
import type { Relay } from "./relay.ts";
import { setupProxyEnvironment } from "./setup-proxy.ts";
import type { SetupProxy } from "./setup-proxy.ts";
import { runSetup } from "./setup.ts";
import { layOutSource } from "./source.ts";
import { createStop } from "./stop.ts";
import type { Stop } from "./stop.ts";
import { strategyFor } from "./strategies.ts";
import type { Strategy } from "./strategies/strategy.ts";

export interface AttemptDeps {
  readonly channel: Channel;
  readonly confinement: Confinement;
  readonly relay: Relay;
  readonly programs: Programs;
  readonly brokers: Brokers;
  readonly codexVersion: string;
  /** Opens the way out of set-up commands. */
  readonly openSetupProxy: (capability: string) => Promise<SetupProxy>;
}

/** One attempt under way. */
interface Attempt extends AttemptDeps {
  readonly assignment: Assignment;
  readonly strategy: Strategy;
  readonly events: EventSender;
  readonly stop: Stop;
}

// Taken at most before the freeze, after which nothing but the result is heard.
const LAST_EVENTS_MS = 10_000;
// The broker counts limits.resultMs from the freeze by its own clock; a try after that is in vain but does no harm.
const FREEZE_PATIENCE_MS = 60_000;

/**
 * Serves one attempt from its assignment to its result. Whatever happens on the way, Codex's processes are gone, the
 * freeze has been asked for, and one frame has been delivered when this returns. Throws ChannelError only when the
 * broker does not take the frame.
 */
export async function serveAttempt(deps: AttemptDeps, assignment: Assignment): Promise<void> {
  const { channel } = deps;
  const { capability, epoch } = assignment;
  const stop = createStop(assignment.seconds * 1_000);
  const events = createEventSender(channel, capability);
  const heartbeat = startHeartbeat({ channel, capability, onStop: stop.throw });
  const worked = await settled(() => work({ ...deps, assignment, events, stop }));
  stop.clear();
  deps.relay.close();
  heartbeat.stop();
  await events.finish(LAST_EVENTS_MS);
  // A refusal means that it is frozen already, which is what we want.
  await settled(() => freeze(channel, capability));
  const frame = await frameOf(deps, assignment, worked);
  const body = ResultFrame.parse({ ...frame, epoch });
  // The capability is dead by now; it still says whose result this is.
  await channel.call({ method: "POST", path: "/v1/result", token: capability, body });
}

type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

async function settled<T>(work: () => Promise<T>): Promise<Settled<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    return { ok: false, error };
  }
}

async function work(attempt: Omit<Attempt, "strategy">): Promise<CodexEnd> {
  const { confinement, channel, assignment, events, stop } = attempt;
  const strategy = strategyFor(assignment.codex.safety_strategy);
  if (strategy.note !== null) {
    events.push({ type: "note", text: strategy.note });
  }
  await withCgroup("source", async (cgroup) => {
    const { source, capability } = assignment;
    await inStep("source", () =>
      layOutSource({ channel, confinement, cgroup, signal: stop.signal }, source, capability),
    );
  });
  events.push({ type: "source_ready" });
  if ((await setUp(attempt)) === "stopped") {
    return { exitCode: null, endedBy: stop.reason() === "deadline" ? "deadline" : "stop", error: null, usage: null };
  }
  return withCgroup("codex", async (cgroup) => {
    await inStep("gate", () => passGate({ ...attempt, strategy }, cgroup));
    return inStep("codex", () => lendAndRun({ ...attempt, strategy }, cgroup));
  });
}

/** There is no key yet, and when there is one, nothing that the commands started lives any more: the gate looks. */
async function setUp(attempt: Omit<Attempt, "strategy">): Promise<"done" | "stopped"> {
  const { confinement, assignment, events, stop } = attempt;
  const { setup: commands = [], network = [], codex, capability } = assignment;
  if (commands.length === 0) {
    return "done";
  }
  const folder = workingFolder(codex.working_directory);
  const proxy = network.length === 0 ? null : await inStep("setup", () => attempt.openSetupProxy(capability));
  const environment = proxy === null ? {} : setupProxyEnvironment;
  try {
    return await withCgroup("setup", (cgroup) =>
      inStep("setup", () => runSetup({ confinement, cgroup, commands, folder, environment, push: events.push, stop })),
    );
  } finally {
    // Before there is any key; that nothing listens any more, the gate sees for itself.
    await proxy?.close();
  }
}

/** The gate's report goes out whatever it says; it is what a person reads when a run is refused here. */
async function passGate(attempt: Attempt, cgroup: Cgroup): Promise<void> {
  const { channel, confinement, programs, brokers, strategy, stop, assignment } = attempt;
  const { signal } = stop;
  const report = await inspectConfinement({
    confinement,
    cgroup,
    probe: programs.probe,
    brokers,
    strategy,
    signal,
  });
  const told = await settled(() =>
    channel.call({ method: "POST", path: "/v1/gate", token: assignment.capability, body: report, signal }),
  );
  const failed = failedChecks(report);
  if (failed.length > 0) {
    throw new StepFailure("gate", `the confinement does not hold: ${failed.join("; ")}`);
  }
  if (!told.ok) {
    throw told.error;
  }
}

async function lendAndRun(attempt: Attempt, cgroup: Cgroup): Promise<CodexEnd> {
  const { channel, relay, confinement, strategy, assignment, events, stop } = attempt;
  const { capability, codex } = assignment;
  if (codex.output_schema !== null) {
    writeFileSync(places.schema, codex.output_schema);
    chmodSync(places.schema, 0o444);
  }
  const grant = await inStep("key", () => borrowKey(channel, capability, stop.signal));
  relay.setKey(grant.key);
  const renewal = startKeyRenewal({
    grant,
    setKey: relay.setKey,
    borrow: () => borrowKey(channel, capability, stop.signal),
  });
  void relay.broken.then(() => stop.throw("relay_broken"));
  try {
    const end = await runCodex({ confinement, cgroup, strategy, codex, push: events.push, stop });
    if (stop.reason() === "relay_broken") {
      throw new StepFailure("codex", "the relay for model calls broke down");
    }
    return end;
  } finally {
    renewal.stop();
  }
}

async function borrowKey(channel: Channel, capability: string, signal: AbortSignal): Promise<KeyGrant> {
  const answer = await channel.call({ method: "POST", path: "/v1/key", token: capability, signal });
  return KeyGrant.parse(answer.body);
}

async function freeze(channel: Channel, capability: string): Promise<void> {
  await channel.call({ method: "POST", path: "/v1/freeze", token: capability, patienceMs: FREEZE_PATIENCE_MS });
}

type Frame =
  | Omit<Extract<ResultFrame, { kind: "result" }>, "epoch">
  | Omit<Extract<ResultFrame, { kind: "failure" }>, "epoch">;

async function frameOf(deps: AttemptDeps, assignment: Assignment, worked: Settled<CodexEnd>): Promise<Frame> {
  if (!worked.ok) {
    return { kind: "failure", failure: describeFailure(worked.error) };
  }
  const collected = await settled(() =>
    inStep("collect", () =>
      withCgroup("collect", (cgroup) =>
        collectResult(
          { confinement: deps.confinement, cgroup, reader: deps.programs.read },
          {
            end: worked.value,
            version: deps.codexVersion,
            head: assignment.source.head,
            isStructured: assignment.codex.output_schema !== null,
            wantsChanges: assignment.collect_changes === true,
          },
        ),
      ),
    ),
  );
  return collected.ok
    ? { kind: "result", result: fitResult(collected.value) }
    : { kind: "failure", failure: describeFailure(collected.error) };
}

/** A cgroup for as long as `use` takes; nothing of it is left afterwards. */
async function withCgroup<T>(name: string, use: (cgroup: Cgroup) => Promise<T>): Promise<T> {
  const cgroup = await createCgroup(places.cgroups, name, machineLimits());
  try {
    return await use(cgroup);
  } finally {
    await cgroup.remove();
  }
}
