import { readdir, readFile, readlink } from "node:fs/promises";
import { processesNaming } from "../../../support/service.ts";
import type { Battery } from "./battery.ts";

export const NAMESPACES = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] as const;

/** What the host tells of the process that is a machine (proc(5)). */
export interface EmulatorFacts {
  readonly argv: readonly string[];
  /** A field of its status. */
  readonly status: (name: string) => string;
  /** How many namespaces were compared with the host's, and which of them are the host's own. */
  readonly namespaces: number;
  readonly shared: readonly string[];
  readonly files: readonly { readonly target: string; readonly isWritable: boolean }[];
}

const known = new WeakMap<Battery, Promise<EmulatorFacts>>();

/** Looked at once, while the machine is alive. */
export function emulatorFacts(battery: Battery): Promise<EmulatorFacts> {
  const facts = known.get(battery) ?? look(battery);
  known.set(battery, facts);
  return facts;
}

async function look(battery: Battery): Promise<EmulatorFacts> {
  const pid = await emulatorOf(battery);
  const pairs = await Promise.all(
    NAMESPACES.map((name) => Promise.all([pid, "self"].map((of) => readlink(`/proc/${of}/ns/${name}`)))),
  );
  const descriptors = await readdir(`/proc/${pid}/fd`);
  return {
    argv: await argumentsOf(pid),
    status: await statusOf(pid),
    namespaces: pairs.length,
    shared: pairs.filter(([theirs, ours]) => theirs === ours).map(([theirs]) => theirs ?? ""),
    files: await Promise.all(descriptors.map((name) => fileOf(pid, name))),
  };
}

async function fileOf(pid: number, name: string): Promise<EmulatorFacts["files"][number]> {
  const target = await readlink(`/proc/${pid}/fd/${name}`).catch(() => "");
  const info = await readFile(`/proc/${pid}/fdinfo/${name}`, "utf8").catch(() => "");
  const flags = /^flags:\s+([0-7]+)$/m.exec(info)?.[1] ?? "0";
  return { target, isWritable: (Number.parseInt(flags, 8) & 3) !== 0 };
}

/** The emulator itself, not those that keep it. */
async function emulatorOf({ machine }: Battery): Promise<number> {
  for (const pid of await processesNaming(machine)) {
    if ((await argumentsOf(pid))[0]?.endsWith("qemu-system-x86_64") === true) {
      return pid;
    }
  }
  throw new Error(`no emulator runs ${machine}`);
}

async function argumentsOf(pid: number): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0").slice(0, -1);
}

export async function statusOf(pid: number): Promise<(name: string) => string> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  return (name) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(text)?.[1]?.trim() ?? "";
}
