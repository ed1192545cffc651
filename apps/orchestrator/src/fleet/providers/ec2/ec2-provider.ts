import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type EC2Client, GetConsoleOutputCommand } from "@aws-sdk/client-ec2";
import { type Clock, type Digest, type Ec2Config, type Instant, limits, type MachineId } from "@mayfly/core";
import type { PlannedLaunch, PresentMachine, Provider } from "@mayfly/core";
import type { Logger } from "pino";
import type { RequestBucket } from "../../../store/request-bucket.ts";
import { listingLagMs } from "./absence.ts";
import { type Capacity, createCapacity } from "./capacity.ts";
import { createDescribe, type SeenInstance } from "./describe.ts";
import { createDestroyer } from "./destroy.ts";
import { bounded, type Pause, systemPause } from "./ec2-client.ts";
import { createInterruptions } from "./interruptions.ts";
import { launchMachines } from "./launch.ts";
import { type Ec2Plan, readPlan } from "./launch-request.ts";
import { instanceIdOf } from "./machine-id.ts";
import { createRequestBucket } from "./request-bucket.ts";
import { createSharedReading } from "./shared-reading.ts";
import { createTemplateGuard } from "./template-guard.ts";
import { createTraces } from "./traces.ts";

/** One call for many machines is the only way past EC2's bounds on calls; a failed one is a loss of this many. */
const LAUNCH_COUNT_MAX = 50;
/**
 * Everybody who wants to know what there is shares a listing this fresh: 600 calls an hour, about a hundredth of what EC2
 * allows an account, however many machines. Whoever needs one that begins after its question waits up to this long.
 */
const LISTING_MS = 6_000;
/** What a listing waits for a look at the launch template: so long that it is nearly always over. */
const LOOK_PATIENCE_MS = 2_000;
/** What was left behind is looked for this often, in two calls; it costs little meanwhile. */
const TIDY_MS = 2 * 60_000;
/** Fewer, and a shortage of one instance type in one zone is a shortage of machines. */
const OFFERINGS_WANTED = 5;
/** The last words of a machine. */
const CONSOLE_TAIL_BYTES = 4 * 1024;

export interface Ec2ProviderOptions {
  readonly config: Ec2Config;
  readonly ec2: EC2Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** Shared by all who launch in this account and region; else this provider has one for itself. */
  readonly bucket?: RequestBucket;
  readonly pause?: Pause;
}

/** Machines as EC2 instances. */
export interface Ec2Provider extends Provider {
  /**
   * What our own listing says of a machine that somebody has told something about: EC2 takes or took it back, it has
   * ended, or neither, which is the answer for what is not ours too. Throws PROVIDER_UNAVAILABLE.
   *
   * @param warned Whether EC2 has announced that it takes it back: the listing cannot say so before it has.
   */
  lookUp(machine: MachineId, warned: boolean): Promise<"taken back" | "ended" | null>;
}

/**
 * A provider whose machines are EC2 instances. It stores nothing: machine ids are instance ids, and everything it makes
 * carries its fleet's tag from the call that makes it.
 */
export function createEc2Provider(options: Ec2ProviderOptions): Ec2Provider {
  const { config, ec2, clock, log, pause = systemPause } = options;
  const { launchBurst: burst, launchesPerSecond: perSecond } = config;
  const bucket = options.bucket ?? createRequestBucket({ clock, burst, perSecond });
  const offerings = config.instanceTypes.flatMap((type) => config.subnets.map((subnet) => ({ subnet, type })));
  if (offerings.length < OFFERINGS_WANTED) {
    log.warn(
      { offerings: offerings.length, wanted: OFFERINGS_WANTED },
      "few instance types and subnets to choose from",
    );
  }
  const capacity = createCapacity({ offerings, spot: config.spot });
  const interruptions = createInterruptions(capacity);
  const describe = createDescribe({ ec2, fleet: config.fleet, pause });
  const traces = createTraces();
  const guard = createTemplateGuard({ ec2, clock, pause, log });
  const template = { id: config.launchTemplate.id, version: String(config.launchTemplate.version) };
  const shared = { everyMs: LISTING_MS, clock, pause };
  const instances = createSharedReading<readonly SeenInstance[]>({
    ...shared,
    read: describe.instances,
    onRead(reading) {
      traces.note(reading);
      interruptions.noteReading(reading.value, clock.now());
    },
  });
  const things = createSharedReading({ ...shared, read: describe.things });
  const destroyer = createDestroyer({ ec2, clock, pause, log, instances, things, traces });
  let tidiedAt = clock.now();

  async function tidyNowAndThen(): Promise<void> {
    if (clock.now() < tidiedAt + TIDY_MS) {
      return;
    }
    tidiedAt = clock.now();
    await destroyer.tidy().catch((err: unknown) => log.warn({ err }, "what machines left behind cannot be seen"));
  }

  function templateWait(): { wait: string; until: Instant } | null {
    const objection = guard.objection(template, config.image);
    return objection === null ? null : { wait: objection.why, until: objection.until };
  }

  async function lookUp(machine: MachineId, warned: boolean): Promise<"taken back" | "ended" | null> {
    const { value } = await instances.after(clock.now());
    const seen = value.find((one) => one.machine === machine);
    if (seen === undefined) {
      return null;
    }
    if (seen.interrupted) {
      return "taken back";
    }
    if (seen.state !== "pending" && seen.state !== "running") {
      return "ended";
    }
    if (!warned || !seen.spot) {
      return null;
    }
    interruptions.noteWarning(seen.id, clock.now());
    return "taken back";
  }

  /** Nothing is launched before the look is over, so nobody else needs to wait for a slow one. */
  async function lookSoon(): Promise<void> {
    const over = new AbortController();
    const tooLong = delay(LOOK_PATIENCE_MS, undefined, { signal: over.signal }).catch(() => undefined);
    await Promise.race([guard.look(template, config.image), tooLong]);
    over.abort();
  }

  return {
    name: "ec2",
    acceleration: "cloud",
    image: config.image,
    spec: specOf(config),
    launchCountMax: LAUNCH_COUNT_MAX,
    listingLagMs,
    bootMs: limits.cloudBootMs,
    planLaunch: (count, steady = false) =>
      templateWait() ?? planLaunch({ config, capacity, bucket, now: clock.now(), count, steady }),
    heldUp: () => templateWait() ?? pauseOf(bucket, clock.now()),
    isTakenBack: interruptions.has,
    async ensureLaunched(launch) {
      await guard.ensureGood(readPlan(launch.plan).template, launch.image);
      return launchMachines({ ec2, clock, pause, log, capacity, bucket, instances }, launch);
    },
    async list(after) {
      const { value } = await (after === undefined ? instances.recent() : instances.after(after));
      // Whoever asks about a moment is waiting for the answer.
      if (after === undefined) {
        await lookSoon();
        await bucket
          .refresh()
          .catch((err: unknown) => log.warn({ err }, "what others know of EC2's pace is not known"));
        await tidyNowAndThen();
      }
      return value.filter(({ state }) => state !== "terminated").map(presentMachine);
    },
    readConsole: (id) => readConsole(ec2, instanceIdOf(id)),
    ensureDestroyed: destroyer.ensureDestroyed,
    lookUp,
  };
}

function planLaunch(options: {
  config: Ec2Config;
  capacity: Capacity;
  bucket: RequestBucket;
  now: Instant;
  count: number;
  steady: boolean;
}): PlannedLaunch {
  const { config, capacity, bucket, now, count, steady } = options;
  const pause = pauseOf(bucket, now);
  if (pause !== null) {
    return pause;
  }
  const open = capacity.open(now, steady);
  if ("none" in open) {
    const all = config.instanceTypes.length * config.subnets.length;
    const why = config.spot && capacity.isSpotOff(now) ? "; spot is left alone since AWS took machines back" : "";
    const what = steady ? "on-demand capacity" : "capacity";
    return { wait: `${what} at AWS, which has none of ${all} offerings${why}`, until: open.until };
  }
  const { id, version } = config.launchTemplate;
  const plan = {
    purchase: open.purchase,
    fleet: config.fleet,
    template: { id, version: String(version) },
    offerings: open.offerings.map(({ subnet, type }) => ({ subnet, type })),
  } satisfies Ec2Plan;
  return { plan, count: Math.min(count, LAUNCH_COUNT_MAX), interruptible: open.purchase === "spot" };
}

function pauseOf(bucket: RequestBucket, now: Instant): { wait: string; until: Instant } | null {
  const until = bucket.pausedUntil();
  return now < until ? { wait: "AWS, which asked for fewer launches", until } : null;
}

/** Everything that decides what a new machine is made of: whoever has another one is drained. */
function specOf({ launchTemplate, image, instanceTypes }: Ec2Config): Digest {
  const parts = JSON.stringify([launchTemplate.id, launchTemplate.version, image, instanceTypes.toSorted()]);
  return `sha256:${createHash("sha256").update(parts).digest("hex")}` as Digest;
}

function presentMachine({ machine, launch, state, address, spec, volumes, interfaces }: SeenInstance): PresentMachine {
  const running = state === "pending" || state === "running";
  return { id: machine, launch, running, address, spec, parts: [...volumes, ...interfaces] };
}

/** Best effort: EC2 keeps a console late, seldom, or not at all. */
async function readConsole(ec2: EC2Client, instanceId: string | null): Promise<string> {
  if (instanceId === null) {
    return "";
  }
  try {
    const request = { InstanceId: instanceId, Latest: true };
    const { Output = "" } = await ec2.send(new GetConsoleOutputCommand(request), bounded());
    return Buffer.from(Output, "base64").subarray(-CONSOLE_TAIL_BYTES).toString("utf8");
  } catch {
    return "";
  }
}
