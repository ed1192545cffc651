import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import {
  type Clock,
  type Digest,
  type Evidence,
  type LaunchId,
  limits,
  type MachineId,
  type PresentMachine,
  type Provider,
} from "@mayfly/core";
import { openImage } from "@mayfly/image";
import type { Logger } from "pino";
import type { Confine } from "../../../confine/confinement.ts";
import type { ServiceUser } from "../../../confine/service-user.ts";
import { type DestroyDeps, destroyMachine } from "./destroy.ts";
import { dumpMachineMemory } from "./dump-memory.ts";
import { readTscKhz } from "./host-clock.ts";
import { createLaunch } from "./launch.ts";
import type { MachineShape } from "./machine-command.ts";
import { checkStateDir, ensureFolder, isMissing, listFolders, machineFolder } from "./machine-folder.ts";
import { listProcesses, machineOf } from "./processes.ts";

/** Codex with its programs needs 650 MiB of a machine; a repository and its build live in the rest. */
const MEMORY_MIB_DEFAULT = 1024;
const CPUS_DEFAULT = 2;
/** The last words of a machine: enough for the agent's own and a kernel's panic. */
const CONSOLE_TAIL_BYTES = 4 * 1024;

export interface QemuProviderOptions {
  /** The service's own folder: `machines/` in it is this provider's. At most some 50 bytes long. */
  readonly stateDir: string;
  readonly image: { readonly digest: Digest; readonly dir: string };
  readonly user: ServiceUser;
  readonly confine: Confine;
  readonly clock: Clock;
  /** What `detectAcceleration` found. */
  readonly acceleration: "kvm" | "emulated";
  readonly log: Pick<Logger, "info">;
  readonly memoryMib?: number;
  readonly cpus?: number;
  /** Lets `dumpMemory` work. Only for tests that look for secrets in a machine. */
  readonly debugDump?: boolean;
}

/** Machines as QEMU processes of this host. */
export interface QemuProvider extends Provider {
  /** The folder in which the broker listens for this machine, on `broker.sock`. */
  channelFolder(id: MachineId): string;
  /** Makes that folder, should it not be there. Idempotent. */
  ensureChannelFolder(id: MachineId): Promise<void>;
  /** Writes all of a running machine's memory to a file. Needs `debugDump`. */
  dumpMemory(id: MachineId, toFile: string): Promise<void>;
}

/**
 * A provider whose machines are confined QEMU processes of this host. They outlive the service; `list` and
 * `ensureDestroyed` work from the state folder and /proc alone. Throws CONFIG_INVALID when the state folder's path is
 * too long.
 */
export function createQemuProvider(options: QemuProviderOptions): QemuProvider {
  const { stateDir, image, user, confine, clock, acceleration, log } = options;
  const { memoryMib = MEMORY_MIB_DEFAULT, cpus = CPUS_DEFAULT, debugDump = false } = options;
  const shape: MachineShape = { acceleration, memoryMib, cpus, debugDump };
  checkStateDir(stateDir);
  const prepare = createPreparation({ stateDir, image, acceleration });
  const launch = createLaunch({ stateDir, user, confine, clock, shape, prepare });
  const destroyDeps: DestroyDeps = { stateDir, user, clock };
  const queue = createQueue();

  return {
    name: "qemu",
    acceleration,
    image: image.digest,
    spec: specOf(image.digest, shape),
    launchCountMax: 1,
    listingLagMs: 0,
    bootMs: limits.bootMs,
    planLaunch: () => ({ plan: {}, count: 1 }),
    ensureLaunched: (wanted) => {
      const id = machineOfLaunch(wanted.id);
      return queue(id, async () => {
        await launch({ id, deadline: wanted.deadline });
        log.info({ machine: id }, "the machine runs");
        return { machines: [id], missing: [] };
      });
    },
    list: () => listMachines(stateDir, user),
    ensureDestroyed: (id) =>
      queue(id, async (): Promise<Evidence> => {
        const evidence = await destroyMachine(destroyDeps, id);
        log.info({ machine: id }, "the machine is gone");
        return evidence;
      }),
    readConsole: (id) => readTail(machineFolder(stateDir, id).console),
    channelFolder: (id) => machineFolder(stateDir, id).channel,
    ensureChannelFolder: (id) => queue(id, () => ensureFolder(machineFolder(stateDir, id))),
    dumpMemory: (id, toFile) => queue(id, () => dumpMachineMemory(machineFolder(stateDir, id), toFile)),
  };
}

async function readTail(file: string): Promise<string> {
  try {
    await using handle = await open(file);
    const { size } = await handle.stat();
    const length = Math.min(size, CONSOLE_TAIL_BYTES);
    const { buffer } = await handle.read({ buffer: Buffer.alloc(length), position: size - length });
    return buffer.toString("utf8");
  } catch (error) {
    if (isMissing(error)) {
      return "";
    }
    throw error;
  }
}

/** What has a folder, and what runs though somebody removed its folder. Another service's machines are not ours. */
async function listMachines(stateDir: string, user: ServiceUser): Promise<PresentMachine[]> {
  const ids = new Set(await listFolders(stateDir));
  const running = new Set<MachineId>();
  for (const process of await listProcesses(user.uid)) {
    const id = machineOf(process, user.uid);
    if (id !== null) {
      running.add(id);
      if (process.argv.includes(machineFolder(stateDir, id).channel)) {
        ids.add(id);
      }
    }
  }
  return [...ids].map((id) => ({
    id,
    launch: launchOfMachine(id),
    running: running.has(id),
    address: null,
    spec: null,
  }));
}

/** A launch makes one machine, which has the same digits for a name: so either is known from the other. */
function machineOfLaunch(id: LaunchId): MachineId {
  return id.replace(/^lch_/, "mch_") as MachineId;
}

function launchOfMachine(id: MachineId): LaunchId {
  return id.replace(/^mch_/, "lch_") as LaunchId;
}

/** The image carries the agent; what is left is the size. */
function specOf(image: Digest, { acceleration, memoryMib, cpus }: MachineShape): Digest {
  const text = JSON.stringify([image, acceleration, memoryMib, cpus]);
  return `sha256:${createHash("sha256").update(text).digest("hex")}` as Digest;
}

/** The image is checked at each launch (milliseconds after the first), the clock measured at the first. */
function createPreparation(options: Pick<QemuProviderOptions, "stateDir" | "image" | "acceleration">) {
  const { stateDir, image, acceleration } = options;
  let tscKhz: Promise<number> | undefined;
  return async () => {
    const opened = await openImage(image.dir, image.digest);
    if (acceleration === "emulated") {
      tscKhz ??= readTscKhz({ stateDir, image: opened });
      tscKhz.catch(() => (tscKhz = undefined));
    }
    return { image: opened, tscKhz: await tscKhz };
  };
}

/** One thing at a time for each machine, in the order asked. */
function createQueue(): <Value>(id: MachineId, work: () => Promise<Value>) => Promise<Value> {
  const tails = new Map<MachineId, Promise<unknown>>();
  return (id, work) => {
    const result = (tails.get(id) ?? Promise.resolve()).then(work);
    const tail = result
      .catch(() => null)
      .finally(() => {
        if (tails.get(id) === tail) {
          tails.delete(id);
        }
      });
    tails.set(id, tail);
    return result;
  };
}
