import { createHash } from "node:crypto";
import { type EC2Client, GetConsoleOutputCommand } from "@aws-sdk/client-ec2";
import type { Clock, Digest, Ec2Config, Instant, PlannedLaunch, PresentMachine, Provider } from "@mayfly/core";
import type { Logger } from "pino";
import { listingLagMs } from "./absence.ts";
import { type Capacity, createCapacity } from "./capacity.ts";
import { createDescribe, type SeenInstance } from "./describe.ts";
import { createDestroyer } from "./destroy.ts";
import { bounded, type Pause, systemPause } from "./ec2-client.ts";
import { launchMachines } from "./launch.ts";
import type { Ec2Plan } from "./launch-request.ts";
import { instanceIdOf } from "./machine-id.ts";
import { createRequestBucket, type RequestBucket } from "./request-bucket.ts";
import { createSharedReading } from "./shared-reading.ts";
import { createTraces } from "./traces.ts";

/** One call for many machines is the only way past EC2's bounds on calls; a failed one is a loss of this many. */
const LAUNCH_COUNT_MAX = 50;
/**
 * Everybody who wants to know what there is shares a listing this fresh: 1,200 calls an hour, a sixtieth of what EC2 allows
 * an account, however many machines.
 */
const LISTING_MS = 3_000;
/** What was left behind is looked for this often; it costs little meanwhile. */
const TIDY_MS = 60_000;
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
  /** EC2 has announced that it takes this instance back. The listing says so too, later; each counts once. */
  noteInterruption(instanceId: string): void;
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
  const describe = createDescribe({ ec2, fleet: config.fleet, pause });
  const traces = createTraces();
  const shared = { everyMs: LISTING_MS, clock, pause };
  const instances = createSharedReading<readonly SeenInstance[]>({
    ...shared,
    read: describe.instances,
    onRead(reading) {
      traces.note(reading);
      noteInterruptions(capacity, reading.value, clock.now());
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

  return {
    name: "ec2",
    acceleration: "cloud",
    image: config.image,
    spec: specOf(config),
    launchCountMax: LAUNCH_COUNT_MAX,
    listingLagMs,
    planLaunch: (count) => planLaunch({ config, capacity, bucket, now: clock.now(), count }),
    ensureLaunched: (launch) => launchMachines({ ec2, clock, pause, capacity, bucket, instances }, launch),
    async list(after) {
      const { value } = await (after === undefined ? instances.recent() : instances.after(after));
      // Whoever asks about a moment is waiting for the answer.
      if (after === undefined) {
        await tidyNowAndThen();
      }
      return value.filter(({ state }) => state !== "terminated").map(presentMachine);
    },
    readConsole: (id) => readConsole(ec2, instanceIdOf(id)),
    ensureDestroyed: destroyer.ensureDestroyed,
    noteInterruption: (instanceId) => capacity.noteInterruption(instanceId, clock.now()),
  };
}

function planLaunch(options: {
  config: Ec2Config;
  capacity: Capacity;
  bucket: RequestBucket;
  now: Instant;
  count: number;
}): PlannedLaunch {
  const { config, capacity, bucket, now, count } = options;
  if (now < bucket.pausedUntil()) {
    return { wait: "AWS, which asked for fewer launches", until: bucket.pausedUntil() };
  }
  const open = capacity.open(now);
  if ("none" in open) {
    const all = config.instanceTypes.length * config.subnets.length;
    return { wait: `capacity at AWS, which has none of ${all} offerings`, until: open.until };
  }
  const { id, version } = config.launchTemplate;
  const plan = {
    purchase: open.purchase,
    fleet: config.fleet,
    template: { id, version: String(version) },
    offerings: open.offerings.map(({ subnet, type }) => ({ subnet, type })),
  } satisfies Ec2Plan;
  return { plan, count: Math.min(count, LAUNCH_COUNT_MAX) };
}

/** Everything that decides what a new machine is made of: whoever has another one is drained. */
function specOf({ launchTemplate, image, instanceTypes }: Ec2Config): Digest {
  const parts = JSON.stringify([launchTemplate.id, launchTemplate.version, image, instanceTypes.toSorted()]);
  return `sha256:${createHash("sha256").update(parts).digest("hex")}` as Digest;
}

function noteInterruptions(capacity: Capacity, seen: readonly SeenInstance[], now: Instant): void {
  for (const { id } of seen.filter(({ interrupted }) => interrupted)) {
    capacity.noteInterruption(id, now);
  }
}

function presentMachine({ machine, launch, state, address, spec }: SeenInstance): PresentMachine {
  return { id: machine, launch, running: state === "pending" || state === "running", address, spec };
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
