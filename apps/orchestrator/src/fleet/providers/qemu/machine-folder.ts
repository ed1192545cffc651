import { chmod, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError, type Instant, isMachineId, type MachineId } from "@mayfly/core";
import { z } from "zod";

/** Everything of one machine on the host's disk. Only the service's user can pass `root`. */
export interface MachineFolder {
  readonly root: string;
  /** The state file. */
  readonly record: string;
  /** The broker listens here on `broker.sock`; the forwarder sees the folder, so a new socket in it is found. */
  readonly channel: string;
  /** We listen here on `qmp.sock` when there is something to ask; QEMU keeps dialling. */
  readonly qmp: string;
  readonly console: string;
  /** Where QEMU may fill one file that is there already, when memory dumps are allowed at all. */
  readonly dump: string;
}

/** What is written down before a machine's process is started, and once more when it runs. */
export type MachineRecord = z.infer<typeof recordSchema>;

const recordSchema = z.strictObject({
  schema: z.literal(1),
  uidOffset: z.number().int().nonnegative(),
  deadline: z.number(),
  image: z.string().max(100),
  /** Null until its process has been seen running: a machine is never started twice. */
  launchedAt: z.number().nullable(),
});

/** The kernel's limit for the path of a unix socket is 108 bytes with the final zero. */
const SOCKET_PATH_BYTES_MAX = 107;
/** Much longer than a launch may stay open, so that one asked again finds the note; short enough for few notes. */
const REMEMBERED_MS = 60 * 60_000;
/** A record is some 200 bytes. */
const RECORD_CHARS_MAX = 10_000;

export function machineFolder(stateDir: string, id: MachineId): MachineFolder {
  const root = join(machinesRoot(stateDir), id);
  return {
    root,
    record: join(root, "machine.json"),
    channel: join(root, "channel"),
    qmp: join(root, "qmp"),
    console: join(root, "console.log"),
    dump: join(root, "dump"),
  };
}

/** Throws CONFIG_INVALID when sockets below this state folder would have names too long for the kernel. */
export function checkStateDir(stateDir: string): void {
  const socket = join(machineFolder(stateDir, `mch_${"0".repeat(20)}` as MachineId).channel, "broker.sock");
  const excess = Buffer.byteLength(socket) - SOCKET_PATH_BYTES_MAX;
  if (excess > 0) {
    throw new AppError(
      "CONFIG_INVALID",
      `the path of the state folder ${stateDir} is ${excess} bytes too long for unix sockets`,
    );
  }
}

/** Idempotent. Of all that is below the state folder, the broker (the service's group) reaches the channel's folder. */
export async function ensureFolder(folder: MachineFolder): Promise<void> {
  for (const [path, mode] of [
    [dirname(folder.root), 0o710],
    [folder.root, 0o710],
    // The machine's uid may pass through, and is the only stranger that is given the way in. The broker listens here.
    [folder.channel, 0o771],
    [folder.qmp, 0o701],
    [folder.dump, 0o701],
  ] as const) {
    await mkdir(path, { recursive: true });
    await chmod(path, mode);
  }
}

/** The ids that have a folder. */
export async function listFolders(stateDir: string): Promise<MachineId[]> {
  try {
    return (await readdir(machinesRoot(stateDir))).filter(isMachineId);
  } catch (error) {
    if (isMissing(error)) {
      return [];
    }
    throw error;
  }
}

/** Null when there is none, or none that can be read: then nothing was started, since it is written first. */
export async function readRecord(folder: MachineFolder): Promise<MachineRecord | null> {
  try {
    const text = await readFile(folder.record, "utf8");
    return recordSchema.parse(JSON.parse(text.slice(0, RECORD_CHARS_MAX)));
  } catch (error) {
    if (isMissing(error)) {
      return null;
    }
    throw new AppError("MACHINE_LAUNCH_FAILED", `${folder.record} cannot be read`, { cause: error });
  }
}

export async function writeRecord(folder: MachineFolder, record: MachineRecord): Promise<void> {
  const draft = `${folder.record}.new`;
  await writeFile(draft, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await rename(draft, folder.record);
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/**
 * Notes that this machine was destroyed, so that nobody makes it again: its launch may not know yet that it was made.
 * Forgets those of which no launch can be open any more.
 */
export async function noteDestroyed(stateDir: string, id: MachineId, now: Instant): Promise<void> {
  const root = destroyedRoot(stateDir);
  await mkdir(root, { recursive: true, mode: 0o700 });
  const note = join(root, id);
  await writeFile(note, "", { mode: 0o600 });
  await utimes(note, now / 1000, now / 1000);
  for (const other of (await readdir(root)).filter(isMachineId)) {
    const at = await destroyedAt(stateDir, other);
    // One from far ahead was written by a clock that was set back since.
    if (at === null || Math.abs(now - at) > REMEMBERED_MS) {
      await rm(join(root, other), { force: true });
    }
  }
}

/** Whether this machine was made and destroyed lately. */
export async function wasDestroyed(stateDir: string, id: MachineId): Promise<boolean> {
  return (await destroyedAt(stateDir, id)) !== null;
}

/** Null when there is no such note. */
async function destroyedAt(stateDir: string, id: MachineId): Promise<Instant | null> {
  try {
    return (await stat(join(destroyedRoot(stateDir), id))).mtimeMs;
  } catch (error) {
    if (isMissing(error)) {
      return null;
    }
    throw error;
  }
}

function destroyedRoot(stateDir: string): string {
  return join(stateDir, "destroyed");
}

function machinesRoot(stateDir: string): string {
  return join(stateDir, "machines");
}
