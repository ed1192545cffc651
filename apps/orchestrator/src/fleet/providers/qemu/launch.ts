import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { AppError, type Clock, type Instant, type MachineId } from "@mayfly/core";
import type { Image } from "@mayfly/image";
import type { Confine } from "../../../confine/confinement.ts";
import type { ServiceUser } from "../../../confine/service-user.ts";
import { confineMachine, machineCommand, type MachineShape } from "./machine-command.ts";
import {
  ensureFolder,
  listFolders,
  type MachineFolder,
  machineFolder,
  type MachineRecord,
  readRecord,
  wasDestroyed,
  writeRecord,
} from "./machine-folder.ts";
import { listProcesses, machineOf } from "./processes.ts";
import { withQmp } from "./qmp.ts";
import { chooseUidOffset } from "./uid-allocation.ts";

/** QEMU answers within 0.3 s of its start; the rest is for a host that is very busy. */
const START_MS = 20_000;
/** What is shown of the console when a machine does not start. */
const COMPLAINT_CHARS_MAX = 1_000;

export interface LaunchDeps {
  readonly stateDir: string;
  readonly user: ServiceUser;
  readonly confine: Confine;
  readonly clock: Clock;
  readonly shape: MachineShape;
  /** The image, checked; and the clock's rate when machines need to be told it. */
  readonly prepare: () => Promise<{ image: Image; tscKhz: number | undefined }>;
}

export type Launch = (machine: { id: MachineId; deadline: Instant }) => Promise<void>;

/**
 * Starts machines: writes the record, starts the process in a session of its own (it outlives this service), waits until
 * QEMU answers, and completes the record. A crash anywhere between leaves a folder, and a process that carries the
 * machine's id, which is all that `list` and `ensureDestroyed` need. One that was destroyed is not made again.
 */
export function createLaunch(deps: LaunchDeps): Launch {
  let allocating: Promise<unknown> = Promise.resolve();

  function allocateRecord(id: MachineId, deadline: Instant, image: Image): Promise<MachineRecord> {
    // One after the other, so that each sees the uids that were written down before it.
    const record = allocating.then(() => allocate(deps, { id, deadline, image }));
    allocating = record.catch(() => null);
    return record;
  }

  return async ({ id, deadline }) => {
    if (await wasDestroyed(deps.stateDir, id)) {
      // The launch was made and did not hear of it: its machine served, and is never made a second time (I1).
      return;
    }
    const folder = machineFolder(deps.stateDir, id);
    await ensureFolder(folder);
    if (await isRunning(deps, id)) {
      return;
    }
    const before = await readRecord(folder);
    if (before !== null && before.launchedAt !== null) {
      throw new AppError("MACHINE_LAUNCH_FAILED", `machine ${id} ran and has ended: see ${folder.console}`);
    }
    const { image, tscKhz } = await deps.prepare();
    const record = before ?? (await allocateRecord(id, deadline, image));
    const seconds = Math.ceil((deadline - deps.clock.now()) / 1000);
    if (seconds <= 0) {
      throw new AppError("MACHINE_LAUNCH_FAILED", `the deadline of machine ${id} has passed`);
    }
    const { shape } = deps;
    const { command, args } = deps.confine(
      confineMachine({ shape, image, folder, uidOffset: record.uidOffset, seconds }),
      machineCommand({ id, shape, tscKhz, seconds }),
    );
    await start({ id, folder, command, args });
    await writeRecord(folder, { ...record, launchedAt: deps.clock.now() });
  };
}

async function start(options: {
  id: MachineId;
  folder: MachineFolder;
  command: string;
  args: string[];
}): Promise<void> {
  const { id, folder, command, args } = options;
  const console = await open(folder.console, "a", 0o600);
  const stdio = ["ignore", console.fd, console.fd] as const;
  const child = spawn(command, args, { cwd: "/", env: {}, detached: true, stdio: [...stdio] });
  child.unref();
  await console.close();
  const ended = new AbortController();
  child.once("error", (error) => ended.abort(error));
  const exit = once(child, "exit").then(() => ended.abort(new Error("QEMU ended")));
  // A child that cannot be started says so by "error", which the signal carries.
  exit.catch(() => null);
  try {
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(START_MS)]);
    await withQmp({ folder: folder.qmp, signal }, (execute) => execute("query-status"));
  } catch (cause) {
    child.kill("SIGKILL");
    const said = await readComplaint(folder.console);
    throw new AppError("MACHINE_LAUNCH_FAILED", `machine ${id} did not start; ${folder.console} ends with: ${said}`, {
      cause,
    });
  }
}

/** A guest may have written it, so nothing but plain characters is passed on. */
async function readComplaint(console: string): Promise<string> {
  const text = await readFile(console, "latin1");
  return text
    .slice(-COMPLAINT_CHARS_MAX)
    .replaceAll(/[^ -~\n]/g, "?")
    .trim();
}

async function isRunning({ user }: LaunchDeps, id: MachineId): Promise<boolean> {
  return (await listProcesses(user.uid)).some((process) => machineOf(process, user.uid) === id);
}

async function allocate(
  { stateDir, user }: LaunchDeps,
  { id, deadline, image }: { id: MachineId; deadline: Instant; image: Image },
): Promise<MachineRecord> {
  const folders = (await listFolders(stateDir)).map((other) => machineFolder(stateDir, other));
  // What a damaged record does not tell, the running process does.
  const records = await Promise.all(folders.map((folder) => readRecord(folder).catch(() => null)));
  const processes = await listProcesses(user.uid);
  const uidOffset = chooseUidOffset({
    id,
    subuids: user.subuids,
    taken: new Set(records.flatMap((record) => (record === null ? [] : [record.uidOffset]))),
    uids: new Set(processes.map(({ uid }) => uid)),
  });
  const record: MachineRecord = { schema: 1, uidOffset, deadline, image: image.digest, launchedAt: null };
  await writeRecord(machineFolder(stateDir, id), record);
  return record;
}
