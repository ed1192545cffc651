import { readdir, readFile } from "node:fs/promises";
import { isMachineId, type MachineId } from "@mayfly/core";

/** A process of this host, as /proc shows it. */
export interface HostProcess {
  readonly pid: number;
  readonly uid: number;
  /** Empty unless it belongs to the asking user. */
  readonly argv: readonly string[];
}

/**
 * All living processes in our pid namespace and those below it. Zombies are left out: they run nothing and hold nothing.
 *
 * @param uid Whose arguments are wanted.
 */
export async function listProcesses(uid: number): Promise<HostProcess[]> {
  const pids = (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => readProcess(pid, uid)));
  return found.filter((process) => process !== null);
}

/**
 * The machine a process keeps alive, or null: QEMU's `-name` is in the arguments of each program that leads to it. Only
 * the service user's own processes count, for others could claim anything.
 */
export function machineOf(process: HostProcess, uid: number): MachineId | null {
  if (process.uid !== uid) {
    return null;
  }
  const name = process.argv[process.argv.lastIndexOf("-name") + 1];
  return process.argv.includes("-name") && name !== undefined && isMachineId(name) ? name : null;
}

async function readProcess(pid: number, wanted: number): Promise<HostProcess | null> {
  try {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const uid = Number(/^Uid:\t([0-9]+)/m.exec(status)?.[1] ?? Number.NaN);
    if (/^State:\t[ZX]/m.test(status)) {
      return null;
    }
    const line = uid === wanted ? await readFile(`/proc/${pid}/cmdline`, "utf8") : "";
    return { pid, uid, argv: line.split("\0").slice(0, -1) };
  } catch {
    // It ended while we looked.
    return null;
  }
}
