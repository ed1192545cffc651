import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import {
  AppError,
  type Config,
  defaultTask,
  type GateReport,
  type Ids,
  type Instant,
  isAppError,
  isMachineId,
  type LaunchId,
  type MachineId,
  type Provider,
  requestRun,
  type Run,
} from "@mayfly/core";
import type { Logger } from "pino";
import { buildService, type Service } from "../app.ts";
import { type Broker, buildBroker } from "../broker/broker.ts";
import { createBrokerClient } from "../broker/control-client.ts";
import { Refusal } from "../broker/refusal.ts";
import { createAbsentGitHub } from "../github/absent.ts";
import { instanceIdOf } from "../fleet/providers/ec2/machine-id.ts";
import { trialFleetOf } from "../fleet/providers/ec2/tags.ts";
import { systemClock } from "../host/clock.ts";
import { randomIds } from "../host/ids.ts";
import { listenOnSocket } from "../host/listen.ts";
import { overSocket } from "../host/socket-client.ts";
import { createRecords, type Records } from "../runs/records.ts";
import { createSources } from "../source/sources.ts";
import { embeddedRedisFolder, startEmbeddedRedis } from "../store/embedded-redis.ts";
import { prepareFolders } from "./parts.ts";
import { sockets } from "./sockets.ts";

const POLL_MS = 200;
/** Boot, enrolment, gate and end take a few minutes; a machine that has not come by then does not come. */
const TRIAL_MS_MAX = 15 * 60_000;
/** From the run's end to the last proof: EC2 believes its own listing after a minute, and ends a machine in another. */
const LEAVE_MS_MAX = 10 * 60_000;
/** One machine is tried: what fails once shall be seen. */
const LAUNCH_FAILURES_MAX = 1;
const CONSOLE_CHARS = 2_000;
const doorKeys = ["server.key", "next.key", "authority.key"];

export interface TrialOptions {
  readonly config: Config;
  readonly provider: Provider;
  readonly log: Logger;
  /** Told as it happens. */
  readonly say: (message: string) => void;
  readonly stopped: AbortSignal;
  /** In ms: how long the end may take from the moment the machine is to go. Ten minutes unless said. */
  readonly leaveMs?: number;
}

/** What came of one real machine. */
export interface Trial {
  readonly launched: boolean;
  /** It dialled the broker it was built for, and was let in. */
  readonly enrolled: boolean;
  /** What it found when it looked from inside Codex's confinement; null if it did not get there. */
  readonly gate: GateReport | null;
  readonly machines: readonly MachineId[];
  /** Everything that was looked for after the end. */
  readonly evidence: readonly { readonly what: string; readonly absent: boolean }[];
  /** Nothing of this fleet is listed any more. */
  readonly left: boolean;
  /** Why it did not get further, in words; null when it went to the end. */
  readonly why: string | null;
  /** The last words of the last machine that did not enrol, hostile. */
  readonly console: string;
}

/**
 * Launches one machine by the provider, lets it in at the broker's real door, has it prove its confinement, and destroys
 * it. It is a run like any other, but that no key is lent: so it ends by itself where Codex would start, and neither GitHub
 * nor a model is needed. All is done in this one process, since there is no secret in it to keep apart. It leaves nothing
 * behind, also when it is stopped.
 */
export async function tryMachine(options: TrialOptions): Promise<Trial> {
  const stateDir = mkdtempSync(join(tmpdir(), "mayfly-"));
  try {
    prepareFolders(stateDir, stateDir, null);
    takeDoorKeys(options.config, stateDir);
    const redis = await startEmbeddedRedis(embeddedRedisFolder(stateDir));
    try {
      return await withService(options, stateDir, redis.address);
    } finally {
      await redis.stop();
    }
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** The image names the keys of the real door. */
function takeDoorKeys({ sharedDir }: Config, stateDir: string): void {
  const folder = `${stateDir}/broker/door`;
  mkdirSync(folder, { mode: 0o700 });
  for (const name of doorKeys) {
    try {
      copyFileSync(`${sharedDir}/broker/door/${name}`, `${folder}/${name}`);
      chmodSync(`${folder}/${name}`, 0o600);
    } catch (cause) {
      throw new AppError(
        "CONFIG_INVALID",
        `the broker's key ${sharedDir}/broker/door/${name} cannot be read: use the state folder whose pins the image was built with`,
        { cause },
      );
    }
  }
}

type Redis = Awaited<ReturnType<typeof startEmbeddedRedis>>["address"];

async function withService(options: TrialOptions, stateDir: string, redis: Redis): Promise<Trial> {
  const { config, provider, log } = options;
  const broker = await buildTrialBroker(options, stateDir, redis);
  try {
    const unused = (): never => {
      throw new Error("a trial has no source but a folder of its own");
    };
    const service = await buildService({
      clock: systemClock,
      log,
      redis,
      stateDir,
      sharedDir: stateDir,
      ids: randomIds,
      provider,
      channels: createBrokerClient(overSocket(sockets.broker(stateDir))),
      confine: unused,
      removeConfined: unused,
      modelDefault: config.model.default,
      budgets: config.budgets,
      prices: config.model.prices,
      github: createAbsentGitHub(),
      githubHost: "github.com",
      gitUrl: () => "",
      webhookSecrets: [],
      checksTasks: false,
      looksForDeliveries: false,
      isOneOfMany: false,
      findSecrets: async () => [],
      signReceipt: null,
      policy: config.policy,
      fleet: oneMachine(config),
      launchFailuresMax: LAUNCH_FAILURES_MAX,
    });
    try {
      await listenOnSocket(service.dispatch, sockets.dispatch(stateDir), "own uid");
      await listenOnSocket(broker.control, sockets.broker(stateDir), "own uid");
      await broker.start();
      return await carryOut(options, stateDir, service);
    } finally {
      await service.close();
    }
  } finally {
    await broker.close();
  }
}

function buildTrialBroker({ config, log }: TrialOptions, stateDir: string, redis: Redis): Promise<Broker> {
  return buildBroker({
    clock: systemClock,
    log,
    redis,
    sharedDir: stateDir,
    worker: overSocket(sockets.dispatch(stateDir)),
    channelFolder: () => stateDir,
    door: config.listen.machines,
    // Nobody is asked: without a key of ours no call gets that far.
    model: { ...config.model, issuer: { kind: "compatible", key: null, header: "authorization", prefix: "" } },
    budgets: config.budgets,
    setupHosts: config.setupHosts,
    ids: lendingNoKey,
  });
}

/** The agent is refused a key, reports so, and its run is over. */
const lendingNoKey: Ids = {
  ...randomIds,
  secret(prefix) {
    if (prefix === "mfk") {
      throw new Refusal("ENDED");
    }
    return randomIds.secret(prefix);
  },
};

function oneMachine({ fleet }: Config): Config["fleet"] {
  return { ...fleet, machinesMax: 1, machinesPerInstallationMax: null, warm: 0, warmMax: 0, warmSchedule: [] };
}

async function carryOut(options: TrialOptions, stateDir: string, service: Service): Promise<Trial> {
  const { provider, say } = options;
  const records = createRecords({ store: service.store, clock: systemClock });
  const run = await prepareRun(stateDir, options);
  const seen: Seen = { launched: false, enrolled: new Set(), machines: new Set(), console: "" };
  try {
    await service.submit(run);
    await service.start();
    const ended = await follow(options, { service, run, seen });
    await leaveNothing(options, { service, records, seen });
    const listed = await provider.list(systemClock.now());
    const gate = ended.gate;
    return {
      launched: seen.launched,
      enrolled: seen.enrolled.size > 0,
      gate,
      machines: [...seen.machines],
      evidence: await evidenceOf(service, seen),
      left: listed.length > 0,
      why: gate === null ? ended.why : null,
      console: seen.console,
    };
  } catch (error) {
    if (isAppError(error, "MACHINE_NOT_GONE")) {
      throw error;
    }
    say("something went wrong: machines are destroyed first");
    await leaveNothing(options, { service, records, seen }).catch((err: unknown) => {
      options.log.error({ err }, "machines may be left");
      say(err instanceof Error ? err.message : "machines may be left");
    });
    throw error;
  }
}

interface Seen {
  launched: boolean;
  readonly enrolled: Set<MachineId>;
  readonly machines: Set<MachineId>;
  console: string;
}

async function prepareRun(stateDir: string, { config }: TrialOptions): Promise<Run> {
  const now = systemClock.now();
  const path = `${stateDir}/source-of-trial`;
  mkdirSync(path);
  writeFileSync(`${path}/README.md`, "A machine on trial.\n");
  const task = defaultTask("trial", config.model.default);
  const origin = { kind: "local", user: "", path } as const;
  const request = { origin, requestedAt: now, task, taskDigest: null, prompt: "Nothing." } as const;
  const run = requestRun({ id: randomIds.run(now), request, now });
  const unused = (): never => {
    throw new Error("a trial has no source but a folder of its own");
  };
  await createSources({
    stateDir,
    confine: unused,
    firstUidOffset: 0,
    remove: unused,
    gitUrl: unused,
    listCommits: unused,
    withReadToken: unused,
    log: { info: () => undefined },
  }).ensurePacked(run);
  return run;
}

/** Waits for the run's end, telling what happens; ends it when it is stopped or takes too long. */
async function follow(
  options: TrialOptions,
  { service, run, seen }: { service: Service; run: Run; seen: Seen },
): Promise<{ gate: GateReport | null; why: string }> {
  const { say, stopped } = options;
  const until = systemClock.now() + TRIAL_MS_MAX;
  let cancelledAt: Instant | null = null;
  let gate: GateReport | null = null;
  let told = "";
  for (;;) {
    const now = (await service.store.loadRun(run.id))?.value;
    if (now === undefined) {
      throw new AppError("NOT_FOUND", `run ${run.id} is gone`);
    }
    await lookAtMachines(options, service, seen);
    if ("attempt" in now && now.attempt !== null && now.attempt.gate !== null && gate === null) {
      ({ gate } = now.attempt);
      say("it has looked from inside its confinement");
    }
    if (now.phase === "queued" && now.waitingFor !== told) {
      told = now.waitingFor;
      say(`waiting for ${told}`);
    }
    const isLate = systemClock.now() > until;
    if ((stopped.aborted || isLate) && cancelledAt === null) {
      cancelledAt = systemClock.now();
      say(`${isLate ? "no machine came in time" : "stopping"}: machines are destroyed first`);
      await service.cancel(run.id);
    }
    if (now.phase === "done") {
      const why = stopped.aborted ? "stopped" : now.ending.detail;
      return { gate, why: isLate && !stopped.aborted ? `nothing within ${TRIAL_MS_MAX / 60_000} minutes` : why };
    }
    // A run is not over before its machine is proved gone, and a role may lack the right to destroy it.
    if (cancelledAt !== null && systemClock.now() > cancelledAt + (options.leaveMs ?? LEAVE_MS_MAX)) {
      throw stillThere(options, [...seen.machines]);
    }
    await wait(POLL_MS);
  }
}

/** What the records of machines say: who came, and who did not. */
async function lookAtMachines({ provider, say }: TrialOptions, { store }: Service, seen: Seen): Promise<void> {
  for (const machine of await store.listLiveMachines()) {
    const { id, phase } = machine;
    if (!seen.machines.has(id)) {
      seen.machines.add(id);
      seen.launched = true;
      say(`launched: ${id}`);
    }
    const isIn = phase === "ready" || phase === "claimed";
    if (isIn && !seen.enrolled.has(id)) {
      seen.enrolled.add(id);
      say(`enrolled: ${id}`);
    }
    if (phase === "destroying" && !seen.enrolled.has(id) && seen.console === "") {
      seen.console = (await provider.readConsole(id).catch(() => "")).slice(-CONSOLE_CHARS) || " ";
    }
  }
}

/** Destroys what lives and waits for what is under way. Throws MACHINE_NOT_GONE. */
async function leaveNothing(
  options: TrialOptions,
  { service, records, seen }: { service: Service; records: Records; seen: Seen },
): Promise<void> {
  const until = systemClock.now() + (options.leaveMs ?? LEAVE_MS_MAX);
  for (;;) {
    await lookAtMachines(options, service, seen);
    const [launches, machines] = await Promise.all([
      service.store.listLiveLaunches(),
      service.store.listLiveMachines(),
    ]);
    if (launches.length === 0 && machines.length === 0) {
      return;
    }
    for (const { id, phase } of machines) {
      if (phase !== "destroying") {
        await records.applyToMachine(id, { type: "destroy", why: "attempt_ended" });
      }
    }
    if (systemClock.now() > until) {
      throw stillThere(
        options,
        [...launches, ...machines].map(({ id }) => id),
      );
    }
    await wait(POLL_MS);
  }
}

/** With the commands that end it, in AWS's own ids: nobody else will before its deadline. */
function stillThere({ config }: TrialOptions, ids: readonly (MachineId | LaunchId)[]): AppError {
  const { fleet = "", region = "" } = config.fleet.ec2 ?? {};
  const instances = ids.flatMap((id) => (isMachineId(id) ? [instanceIdOf(id) ?? id] : []));
  const end = `aws ec2 terminate-instances --region ${region} --instance-ids ${instances.join(" ")}`;
  const sweep = `mayfly fleet sweep --name ${trialFleetOf(fleet)} --region ${region}`;
  return new AppError(
    "MACHINE_NOT_GONE",
    `still there: ${[...new Set([...instances, ...ids])].join(", ")}. Look whether this role may end machines, then run: ${instances.length === 0 ? "" : `${end}, or `}${sweep} once the deadline is over`,
  );
}

async function evidenceOf({ store }: Service, { machines }: Seen): Promise<Trial["evidence"]> {
  const found = await Promise.all([...machines].map((id) => store.loadMachine(id)));
  return found.flatMap((record) => (record?.value.phase === "gone" ? record.value.evidence.checks : []));
}
