import { readdir, readFile } from "node:fs/promises";
import { processesNaming } from "./service.ts";
import type { TestWorld } from "./world.ts";

/** A process of this host (proc(5)). */
export interface HostProcess {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly argv: readonly string[];
  /** Real, effective, saved, file system. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly groups: readonly number[];
  /** Effective capabilities, in hex. */
  readonly capabilities: string;
  readonly noNewPrivs: boolean;
}

/** The supervisor, its processes, what they started, and what names the state folder: machines are nobody's children. */
export async function familyOf({ service, stateDir }: TestWorld): Promise<HostProcess[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const all = (await Promise.all(pids.map(readProcess))).filter((one) => one !== null);
  const ours = new Set([service().process.pid ?? 0, ...(await processesNaming(stateDir))]);
  for (let before = 0; before < ours.size;) {
    before = ours.size;
    for (const { pid, parent } of all) {
      if (ours.has(parent)) {
        ours.add(pid);
      }
    }
  }
  return all.filter(({ pid }) => ours.has(pid));
}

/** The service's process of that name: `service`, `broker`, `signer`. Fails unless there is one. */
export async function partOf(world: TestWorld, name: string): Promise<HostProcess> {
  const all = await familyOf(world);
  const found = all.filter(({ argv, parent }) => {
    return parent === world.service().process.pid && argv.at(-2) === "process" && argv.at(-1) === name;
  });
  if (found.length !== 1 || found[0] === undefined) {
    throw new Error(`there are ${found.length} processes ${name}`);
  }
  return found[0];
}

async function readProcess(pid: number): Promise<HostProcess | null> {
  const [status, line] = await Promise.all(
    ["status", "cmdline"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => null)),
  );
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status ?? "")?.[1] ?? "";
  const numbers = (name: string) =>
    field(name)
      .split(/\s+/)
      .filter((word) => word !== "")
      .map(Number);
  if (status === null || status === undefined || field("State").startsWith("Z")) {
    return null;
  }
  return {
    pid,
    parent: Number(field("PPid")),
    name: field("Name"),
    argv: (line ?? "").split("\0").slice(0, -1),
    uids: numbers("Uid"),
    gids: numbers("Gid"),
    groups: numbers("Groups"),
    capabilities: field("CapEff"),
    noNewPrivs: field("NoNewPrivs") === "1",
  };
}
