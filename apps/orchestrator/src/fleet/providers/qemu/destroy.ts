import { lstat, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type AbsenceCheck, AppError, type Clock, type Evidence, type MachineId } from "@mayfly/core";
import type { ServiceUser } from "../../../confine/service-user.ts";
import { type MachineFolder, machineFolder, noteDestroyed, readRecord } from "./machine-folder.ts";
import { listProcesses, machineOf } from "./processes.ts";

/** A killed machine is gone within 30 ms; a busy kernel needs longer for a big one. Whoever asks will ask again. */
const GONE_MS = 3_000;
const LOOK_AGAIN_MS = 10;

export interface DestroyDeps {
  readonly stateDir: string;
  readonly user: ServiceUser;
  readonly clock: Clock;
}

/**
 * Ends the machine, removes all that is left of it, and looks for each thing again. Idempotent; for an unknown id it
 * only looks. Throws MACHINE_NOT_GONE naming what is still there.
 */
export async function destroyMachine(deps: DestroyDeps, id: MachineId): Promise<Evidence> {
  const folder = machineFolder(deps.stateDir, id);
  const uid = await readMachineUid(deps, folder);
  const note = () => noteDestroyed(deps.stateDir, id, deps.clock.now());
  const isThere = !(await isAbsent(folder.root)) || (await isKept(deps.user, id));
  // Before anything of it goes: after a crash nobody else would know that it was ever there. A full disk spares nobody.
  const isNoted =
    !isThere ||
    (await note().then(
      () => true,
      () => false,
    ));
  const giveUp = performance.now() + GONE_MS;
  while ((await killProcesses(deps.user, id, uid)) > 0 && performance.now() < giveUp) {
    await delay(LOOK_AGAIN_MS);
  }
  await rm(folder.root, { recursive: true, force: true });
  if (!isNoted) {
    await note();
  }
  let checks = await look(deps.user, id, uid, folder);
  while (checks.some(({ absent }) => !absent) && performance.now() < giveUp) {
    await delay(LOOK_AGAIN_MS);
    checks = await look(deps.user, id, uid, folder);
  }
  const present = checks.filter(({ absent }) => !absent);
  if (present.length > 0) {
    throw new AppError("MACHINE_NOT_GONE", `still there: ${present.map(({ what }) => what).join(", ")}`);
  }
  return { at: deps.clock.now(), checks };
}

/** Null when no record was ever written: then no process ever had a uid. */
async function readMachineUid({ user }: DestroyDeps, folder: MachineFolder): Promise<number | null> {
  const record = await readRecord(folder).catch(() => null);
  return record === null ? null : user.subuids.first + record.uidOffset;
}

/** Returns how many of the machine's processes were seen. Those under its own uid die with their pid namespace. */
async function killProcesses(user: ServiceUser, id: MachineId, machineUid: number | null): Promise<number> {
  const processes = await listProcesses(user.uid);
  const keepers = processes.filter((process) => machineOf(process, user.uid) === id);
  for (const { pid } of keepers) {
    killQuietly(pid);
  }
  return keepers.length + processes.filter(({ uid }) => uid === machineUid).length;
}

async function isKept(user: ServiceUser, id: MachineId): Promise<boolean> {
  return (await listProcesses(user.uid)).some((process) => machineOf(process, user.uid) === id);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended meanwhile; whether all did is looked at, not assumed.
  }
}

async function look(
  user: ServiceUser,
  id: MachineId,
  machineUid: number | null,
  folder: MachineFolder,
): Promise<AbsenceCheck[]> {
  const [processes, sockets] = await Promise.all([listProcesses(user.uid), readFile("/proc/net/unix", "utf8")]);
  const uidCheck = {
    what: `processes under the machine's uid ${machineUid}`,
    absent: !processes.some(({ uid }) => uid === machineUid),
  };
  return [
    { what: `processes of machine ${id}`, absent: !processes.some((process) => machineOf(process, user.uid) === id) },
    ...(machineUid === null ? [] : [uidCheck]),
    { what: `sockets in ${folder.root}`, absent: !sockets.includes(`${folder.root}/`) },
    {
      what: `channel socket ${join(folder.channel, "broker.sock")}`,
      absent: await isAbsent(join(folder.channel, "broker.sock")),
    },
    { what: `state folder ${folder.root}`, absent: await isAbsent(folder.root) },
  ];
}

async function isAbsent(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
  }
}
