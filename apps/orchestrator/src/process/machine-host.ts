import { mkdirSync } from "node:fs";
import { AppError, type Config } from "@mayfly/core";
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

/** This host as a place for machines. */
export interface MachineHost {
  readonly provider: QemuProvider;
  readonly confine: Confine;
  readonly removeConfined: (path: string) => Promise<void>;
}

/**
 * Makes this host ready for machines, as the unprivileged user it runs as. Throws TOOLS_MISSING with what to install or
 * set, ACCELERATION_MISSING.
 */
export async function prepareMachines(
  config: Pick<Config, "fleet">,
  options: { stateDir: string; image: Image; log: Logger; debugDump?: boolean },
): Promise<MachineHost> {
  const gaps = await checkConfinement();
  if (gaps.length > 0) {
    throw new AppError(
      "TOOLS_MISSING",
      `machines cannot be confined here: ${gaps.map(({ missing, fix }) => `${missing} (${fix})`).join("; ")}`,
    );
  }
  const user = await readServiceUser();
  const confine = createConfine(user);
  const { image, stateDir, log } = options;
  const acceleration = await detectAcceleration({ image, confine, allowEmulation: config.fleet.allowEmulation });
  const provider = createQemuProvider({
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
  return { provider, confine, removeConfined: (path) => confinedRemove(user, path) };
}
