import { strict as assert } from "node:assert";
import { mkdirSync } from "node:fs";
import { AppError, type Config, type Provider } from "@mayfly/core";
import { bundleAgent, ensureImage, type Image } from "@mayfly/image";
import type { Logger } from "pino";
import { checkConfinement } from "../confine/check-confinement.ts";
import { createConfine } from "../confine/confine.ts";
import { confinedRemove } from "../confine/confined-remove.ts";
import type { Confine } from "../confine/confinement.ts";
import { readServiceUser } from "../confine/service-user.ts";
import { detectAcceleration } from "../fleet/providers/qemu/acceleration.ts";
import { createQemuProvider, type QemuProvider } from "../fleet/providers/qemu/qemu-provider.ts";
import type { Notices } from "../fleet/notices.ts";
import { systemClock } from "../host/clock.ts";
import { connectForCommands, type RedisAddress, waitUntilReady } from "../store/connection.ts";
import { createSharedBucket } from "../store/request-bucket.ts";
import { REDIS_PREFIX } from "../store/stores.ts";
import type { Progress } from "../cli/progress.ts";
import { type AwsCredentials, reveal } from "./aws-credentials.ts";

/** The image for this very source, built if it is not there. As root if we are root: before root is dropped. */
export async function prepareImage(
  config: Config,
  progress: Progress,
  options: { frozen?: boolean; recheck?: boolean } = {},
): Promise<Image> {
  mkdirSync(config.cacheDir, { recursive: true, mode: 0o755 });
  const { code } = await bundleAgent();
  let last = "";
  return ensureImage({
    cacheDir: config.cacheDir,
    agentBundle: code,
    ...options,
    onProgress({ message }) {
      if (message !== last) {
        last = message;
        progress.say(`image: ${message}`);
      }
    },
  });
}

const REDIS_START_MS = 10_000;

/** What makes the machines, and this host as a place for them and for git. */
export interface MachineHost {
  readonly provider: Provider;
  /** Null where machines are not on this host. */
  readonly qemu: QemuProvider | null;
  readonly confine: Confine;
  readonly removeConfined: (path: string) => Promise<void>;
  /** What the cloud tells of machines by itself; null where nobody tells. */
  readonly notices: Notices | null;
  /** Ends what the provider has open. Machines live on. */
  release(): void;
}

export interface MachinesOptions {
  readonly stateDir: string;
  /** Null where machines are not on this host: theirs is made elsewhere. */
  readonly image: Image | null;
  /** Null: the SDK's own search through files and roles. */
  readonly aws: AwsCredentials | null;
  /** Where all who launch in this account share how fast they may. */
  readonly redis: RedisAddress;
  readonly log: Logger;
  readonly debugDump?: boolean;
}

/**
 * Makes this host ready for machines, as the unprivileged user it runs as. Throws TOOLS_MISSING with what to install or
 * set, ACCELERATION_MISSING.
 */
export async function prepareMachines(config: Pick<Config, "fleet">, options: MachinesOptions): Promise<MachineHost> {
  const gaps = await checkConfinement();
  if (gaps.length > 0) {
    throw new AppError(
      "TOOLS_MISSING",
      `machines cannot be confined here: ${gaps.map(({ missing, fix }) => `${missing} (${fix})`).join("; ")}`,
    );
  }
  const user = await readServiceUser();
  const confine = createConfine(user);
  const removeConfined = (path: string) => confinedRemove(user, path);
  const { image, stateDir, log } = options;
  if (image === null) {
    return { ...(await openEc2(config.fleet, options)), qemu: null, confine, removeConfined };
  }
  const acceleration = await detectAcceleration({ image, confine, allowEmulation: config.fleet.allowEmulation });
  const qemu = createQemuProvider({
    stateDir,
    image,
    user,
    confine,
    clock: systemClock,
    acceleration,
    memoryMib: config.fleet.memoryMib,
    cpus: config.fleet.cpus,
    debugDump: options.debugDump ?? false,
    log,
  });
  return { provider: qemu, qemu, confine, removeConfined, notices: null, release: () => undefined };
}

/** The SDK is loaded for those alone who need it: it is larger than all of ours. */
async function openEc2(
  fleet: Config["fleet"],
  { aws, redis: address, log }: MachinesOptions,
): Promise<Pick<MachineHost, "provider" | "notices" | "release">> {
  const config = fleet.ec2;
  assert(config !== null, "the settings have been checked");
  const [{ createEc2Client }, { createEc2Provider }, { createInterruptionNotices, createSqsClient }] = await loadEc2();
  const { region, endpoint, noticesQueue: queueUrl, launchBurst: burst, launchesPerSecond: perSecond } = config;
  const credentials = aws === null ? {} : { credentials: reveal(aws) };
  const redis = connectForCommands(address);
  await waitUntilReady(redis, REDIS_START_MS);
  const name = `${region}:${config.fleet}`;
  const provider = createEc2Provider({
    config,
    ec2: createEc2Client({ region, endpoint, ...credentials }),
    clock: systemClock,
    bucket: createSharedBucket({ redis, prefix: REDIS_PREFIX, name, clock: systemClock, burst, perSecond }),
    log,
  });
  const sqs = queueUrl === null ? null : createSqsClient({ region, queueUrl, ...credentials });
  return {
    provider,
    notices:
      sqs === null || queueUrl === null ? null : createInterruptionNotices({ sqs, queueUrl, region, provider, log }),
    release: () => redis.disconnect(),
  };
}

/** Loads what only machines on EC2 need; to be called while it can still be read. */
export function loadEc2() {
  return Promise.all([
    import("../fleet/providers/ec2/ec2-client.ts"),
    import("../fleet/providers/ec2/ec2-provider.ts"),
    import("../fleet/providers/ec2/interruption-notices.ts"),
  ]);
}
