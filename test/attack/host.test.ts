import { lstat, readdir, readFile, readlink, stat } from "node:fs/promises";
import { afterEach, expect, it } from "vitest";
import { say, stall } from "../fakes/model/script.ts";
import { familyOf, type HostProcess, partOf } from "../support/processes.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { RUN_MS, startRun } from "./scene.ts";

const TEST_MS = 400_000;
/** The state of a listening socket in /proc/net/tcp, and its flag in /proc/net/unix (proc(5)). */
const TCP_LISTEN = "0A";
const UNIX_ACCEPTS = "00010000";
/** A user that has nothing on this host: `nobody`. */
const STRANGER = 65_534;
/** Bits of a mode, for one of owner, group and others. */
const READ_OR_WRITE = 6;
const PASS = 1;

let world: TestWorld | null = null;

afterEach(async () => {
  await world?.close();
  world = null;
}, TEST_MS);

it.skipIf(process.getuid?.() !== 0)(
  "started as root, each process has a user of its own, only the supervisor stays root, and two ports of loopback are all that listens",
  async () => {
    const here = (world = await startWorld({ script: [stall(), say("never")] }));
    const { addresses } = here.service();
    const { id } = await startRun(here, { prompt: "Review this." });
    await here.control.waitFor(id, ({ run }) => run.modelCalls > 0, RUN_MS);
    const all = await familyOf(here);
    const isMachine = ({ name }: HostProcess) => name === "socat" || name.startsWith("qemu-system");
    const names = all.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["redis-server", "socat", "qemu-system-x86"]));
    expect(all.filter(({ uids }) => uids.includes(0)).map(({ pid }) => pid)).toEqual([here.service().process.pid]);

    const [service, broker, signer] = await Promise.all(
      ["service", "broker", "signer"].map((name) => partOf(here, name)),
    );
    expect(service?.pid).toBe(addresses.pid);
    const uids = new Set([service, broker, signer, ...all.filter(isMachine)].flatMap((one) => one?.uids ?? []));
    expect(uids.size).toBe(4);
    for (const holder of [broker, signer]) {
      expect(holder).toMatchObject({ capabilities: "0000000000000000", noNewPrivs: true });
    }
    // The broker reaches what the service opens to its group; nobody else is in the signer's.
    expect(broker?.gids[0]).toBe(service?.gids[0]);
    expect(broker?.groups).toEqual([service?.gids[0]]);
    expect(signer?.groups).toEqual([signer?.gids[0]]);
    expect(service?.groups).not.toContain(signer?.gids[0]);
    expect(service?.groups).not.toContain(service?.gids[0]);

    const inodes = await socketsOf(all);
    const ports = (await listening("tcp")).filter(({ inode }) => inodes.has(inode));
    const loopback = [addresses.webhook, addresses.internal].map((url) => `0100007F:${portOf(url)}`);
    expect(ports.map(({ address }) => address).toSorted()).toEqual(loopback.toSorted());
    expect((await listening("tcp6")).filter(({ inode }) => inodes.has(inode))).toEqual([]);
    expect(ports.every(({ uid }) => uid === service?.uids[0])).toBe(true);

    const supervisor = all.filter(({ pid }) => pid === here.service().process.pid);
    const held = await socketsOf(supervisor);
    expect((await unixSocketsUnder(here.stateDir, held)).length).toBe(0);
    expect((await unixSocketsUnder(here.stateDir, inodes)).length).toBeGreaterThan(5);
    expect((await stat(here.stateDir)).mode & 0o777).toBe(0o711);
    const stranger = { uids: [STRANGER], gids: [STRANGER], groups: [] };
    const publicKeys = (await readdir(`${here.stateDir}/receipt-keys`)).toSorted();
    const forAll = ["receipt-keys", ...publicKeys.map((name) => `receipt-keys/${name}`)];
    expect(await openTo(here.stateDir, stranger)).toEqual(forAll);
    for (const machine of all.filter(isMachine)) {
      expect(await openTo(here.stateDir, machine)).toEqual(forAll);
    }
    const forSigner = await openTo(here.stateDir, signer ?? stranger);
    expect(forSigner).toEqual(expect.arrayContaining(["signer/receipt-key.pem", "signer-door/signer.sock"]));
    expect(new Set(forSigner.map(topOf))).toEqual(new Set(["receipt-keys", "signer", "signer-door"]));
    const forBroker = await openTo(here.stateDir, broker ?? stranger);
    expect(new Set(forBroker.map(topOf))).toEqual(
      new Set(["broker", "dispatch.sock", "machines", "receipt-keys", "redis", "source"]),
    );
  },
  TEST_MS,
);

/**
 * What in the folder, at any level, this user could read or write: by the owner, group and mode of each thing and of all
 * folders above it, names known. Links are left out: what they lead to counts where it is.
 */
async function openTo(folder: string, who: Pick<HostProcess, "uids" | "gids" | "groups">): Promise<string[]> {
  const found: string[] = [];
  async function look(under: string): Promise<void> {
    for (const name of await readdir(`${folder}/${under}`).catch(() => [])) {
      const path = `${under}${name}`;
      // What has gone meanwhile is open to nobody.
      const seen = await lstat(`${folder}/${path}`).catch(() => null);
      if (seen === null || seen.isSymbolicLink()) {
        continue;
      }
      const isInGroup = [...who.gids, ...who.groups].includes(seen.gid);
      const rights = seen.mode >> (who.uids.includes(seen.uid) ? 6 : isInGroup ? 3 : 0);
      if ((rights & READ_OR_WRITE) !== 0) {
        found.push(path);
      }
      if (seen.isDirectory() && (rights & PASS) !== 0) {
        await look(`${path}/`);
      }
    }
  }
  await look("");
  return found.toSorted();
}

function topOf(path: string): string {
  return path.split("/")[0] ?? path;
}

/** The inodes of all sockets that these processes hold. */
async function socketsOf(processes: readonly HostProcess[]): Promise<Set<string>> {
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
