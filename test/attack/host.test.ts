import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { afterEach, expect, it } from "vitest";
import { say, stall } from "../fakes/model/script.ts";
import { processesNaming } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { RUN_MS, startRun } from "./scene.ts";

const TEST_MS = 400_000;
/** The state of a listening socket in /proc/net/tcp, and its flag in /proc/net/unix (proc(5)). */
const TCP_LISTEN = "0A";
const UNIX_ACCEPTS = "00010000";

let world: TestWorld | null = null;

afterEach(async () => {
  await world?.close();
  world = null;
}, TEST_MS);

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly uids: readonly number[];
}

it.skipIf(process.getuid?.() !== 0)(
  "started as root, nothing of it stays root, a machine has a uid of its own, and two ports of loopback are all that listens",
  async () => {
    const here = (world = await startWorld({ script: [stall(), say("never")] }));
    const { addresses } = here.service();
    const { id } = await startRun(here, { prompt: "Review this." });
    await here.control.waitFor(id, ({ run }) => run.modelCalls > 0, RUN_MS);
    const all = await family(here);
    const isMachine = ({ name }: Process) => name === "socat" || name.startsWith("qemu-system");
    const names = all.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["redis-server", "socat", "qemu-system-x86"]));
    expect(all.filter(({ uids }) => uids.includes(0))).toEqual([]);

    const service = all.find(({ pid }) => pid === addresses.pid);
    expect(service?.uids).toHaveLength(4);
    const uids = new Set(all.filter(isMachine).flatMap((one) => one.uids));
    expect(uids.size).toBe(1);
    expect(uids).not.toContain(service?.uids[0]);

    const inodes = await socketsOf(all);
    const ports = (await listening("tcp")).filter(({ inode }) => inodes.has(inode));
    const loopback = [addresses.webhook, addresses.internal].map((url) => `0100007F:${portOf(url)}`);
    expect(ports.map(({ address }) => address).toSorted()).toEqual(loopback.toSorted());
    expect((await listening("tcp6")).filter(({ inode }) => inodes.has(inode))).toEqual([]);
    expect(ports.every(({ uid }) => uid === service?.uids[0])).toBe(true);

    const sockets = await unixSocketsUnder(here.stateDir, inodes);
    expect(sockets.length).toBeGreaterThan(2);
    for (const path of sockets) {
      expect([path, (await stat(path)).uid]).toEqual([path, service?.uids[0]]);
    }
    expect((await stat(here.stateDir)).mode & 0o777).toBe(0o700);
  },
  TEST_MS,
);

/** The service, what it started, and what names its state folder: machines outlive it and are nobody's children. */
async function family({ service, stateDir }: TestWorld): Promise<Process[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const all = (await Promise.all(pids.map(readProcess))).filter((one) => one !== null);
  const ours = new Set([service().addresses.pid, ...(await processesNaming(stateDir))]);
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

async function readProcess(pid: number): Promise<Process | null> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => null);
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status ?? "")?.[1] ?? "";
  return status === null || field("State").startsWith("Z")
    ? null
    : { pid, parent: Number(field("PPid")), name: field("Name"), uids: field("Uid").split(/\s+/).map(Number) };
}

/** The inodes of all sockets that these processes hold. */
async function socketsOf(processes: readonly Process[]): Promise<Set<string>> {
  const inodes = new Set<string>();
  for (const { pid } of processes) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const inode = /^socket:\[(\d+)\]$/.exec(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => ""))?.[1];
      if (inode !== undefined) {
        inodes.add(inode);
      }
    }
  }
  return inodes;
}

async function listening(table: "tcp" | "tcp6"): Promise<{ address: string; uid: number; inode: string }[]> {
  const rows = (await readFile(`/proc/net/${table}`, "utf8")).trim().split("\n").slice(1);
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((fields) => fields[3] === TCP_LISTEN)
    .map((fields) => ({ address: fields[1] ?? "", uid: Number(fields[7]), inode: fields[9] ?? "" }));
}

/** Paths of the listening unix sockets that are held by these processes. Fails if one lies outside the state folder. */
async function unixSocketsUnder(stateDir: string, inodes: ReadonlySet<string>): Promise<string[]> {
  const rows = (await readFile("/proc/net/unix", "utf8")).trim().split("\n").slice(1);
  const paths = rows
    .map((row) => row.trim().split(/\s+/))
    .filter((fields) => fields[3] === UNIX_ACCEPTS && inodes.has(fields[6] ?? ""))
    .map((fields) => fields[7] ?? "");
  expect(paths.filter((path) => !path.startsWith(`${stateDir}/`))).toEqual([]);
  return paths;
}

function portOf(url: string): string {
  return Number(new URL(url).port).toString(16).toUpperCase().padStart(4, "0");
}
