import { strict as assert } from "node:assert";
import { mkdirSync } from "node:fs";
import { AppError, type Config, type Provider, type Secret } from "@mayfly/core";
import { bundleAgent, ensureImage, type Image } from "@mayfly/image";
import type { Logger } from "pino";
import { checkConfinement } from "../confine/check-confinement.ts";
import { createConfine } from "../confine/confine.ts";
import { confinedRemove } from "../confine/confined-remove.ts";
import type { Confine } from "../confine/confinement.ts";
import { readServiceUser } from "../confine/service-user.ts";
import { detectAcceleration } from "../fleet/providers/qemu/acceleration.ts";
import { createQemuProvider, type QemuProvider } from "../fleet/providers/qemu/qemu-provider.ts";
import { systemClock } from "../host/clock.ts";
import type { Progress } from "../cli/progress.ts";

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

/** A key of AWS that was given by the environment. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret | null;
}

/** What makes the machines, and this host as a place for them and for git. */
export interface MachineHost {
  readonly provider: Provider;
  /** Null where machines are not on this host. */
  readonly qemu: QemuProvider | null;
  readonly confine: Confine;
  readonly removeConfined: (path: string) => Promise<void>;
}

export interface MachinesOptions {
  readonly stateDir: string;
  /** Null where machines are not on this host: theirs is made elsewhere. */
  readonly image: Image | null;
  /** Null: the SDK's own search through files and roles. */
  readonly aws: AwsCredentials | null;
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
    return { provider: await openEc2(config.fleet, options), qemu: null, confine, removeConfined };
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
  return { provider: qemu, qemu, confine, removeConfined };
}

/** The SDK is loaded for those alone who need it: it is larger than all of ours. */
async function openEc2(fleet: Config["fleet"], { aws, log }: MachinesOptions): Promise<Provider> {
  const config = fleet.ec2;
  assert(config !== null, "the settings have been checked");
  const [{ createEc2Client }, { createEc2Provider }] = await loadEc2();
  const { region, endpoint } = config;
  const credentials = aws === null ? {} : { credentials: revealed(aws) };
  return createEc2Provider({
    config,
    ec2: createEc2Client({ region, endpoint, ...credentials }),
    clock: systemClock,
    log,
  });
}

/** Loads what only machines on EC2 need; to be called while it can still be read. */
export function loadEc2() {
  return Promise.all([
    import("../fleet/providers/ec2/ec2-client.ts"),
    import("../fleet/providers/ec2/ec2-provider.ts"),
  ]);
}

function revealed({ accessKeyId, secretAccessKey, sessionToken }: AwsCredentials) {
  const session = sessionToken === null ? {} : { sessionToken: sessionToken.reveal() };
  return { accessKeyId, secretAccessKey: secretAccessKey.reveal(), ...session };
}
