// The start gate's eyes. Runs as the user and in the confinement that Codex will have, looks at everything it should not
// be able to reach, and says on stdout what it saw. It trusts nothing it was told but where to look.
import { spawnSync } from "node:child_process";
import type { Dirent } from "node:fs";
import { accessSync, closeSync, constants, lstatSync, openSync, readFileSync, readdirSync, statSync } from "node:fs";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import type { GateCheckName } from "../gate.ts";

/** What the agent tells the probe. */
export interface ProbeOrders {
  /** What to look at, in this order. */
  readonly checks: readonly GateCheckName[];
  readonly agentPid: number;
  readonly uid: number;
  readonly gid: number;
  readonly brokers: readonly { readonly host: string; readonly port: number }[];
  readonly relayPort: number;
  /** The cgroup's name under the mount. */
  readonly cgroup: string;
  readonly cgroups: string;
  /** Names of all environment variables there may be. */
  readonly environment: readonly string[];
  /** Where to look for set-id programs, with all below it on the same file system. */
  readonly root: string;
  /** Paths that must be neither writable nor replaceable. */
  readonly sealed: readonly string[];
  /** Paths that must not be readable. */
  readonly hidden: readonly string[];
}

interface Check {
  name: string;
  ok: boolean;
  seen: string;
}

const CONNECT_MS = 3_000;
const HELPER_MS = 20_000;
const SEEN_CHARS_MAX = 500;

const looks: Readonly<Record<GateCheckName, () => Check | Promise<Check>>> = {
  identity,
  capabilities,
  no_new_privs: noNewPrivileges,
  processes,
  foreign_memory: foreignMemory,
  sudo,
  setuid,
  interfaces,
  listeners,
  channel,
  relay,
  sockets,
  cgroup,
  limits,
  user_namespaces: userNamespaces,
  sealed,
  hidden,
  devices,
  environment,
};

const orders = JSON.parse(process.argv.at(-1) ?? "{}") as ProbeOrders;
void main();

async function main(): Promise<void> {
  const checks: Check[] = [];
  for (const name of orders.checks) {
    checks.push(await looks[name]());
  }
  process.stdout.write(JSON.stringify(checks));
}

function identity(): Check {
  const uid = statusField("Uid");
  const gid = statusField("Gid");
  const groups = statusField("Groups");
  const ok = isAll(uid, orders.uid) && isAll(gid, orders.gid) && groups === "";
  return check("identity", ok, `uid ${uid}; gid ${gid}; supplementary groups: ${groups || "none"}`);
}

function capabilities(): Check {
  const sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((name) => `${name} ${statusField(name)}`);
  return check(
    "capabilities",
    sets.every((set) => /^\w+ 0+$/.test(set)),
    sets.join(", "),
  );
}

function noNewPrivileges(): Check {
  const value = statusField("NoNewPrivs");
  return check("no_new_privs", value === "1", `NoNewPrivs ${value}`);
}

function processes(): Check {
  const visible = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const foreign = visible.filter((pid) => ownerOf(`/proc/${pid}`) !== orders.uid);
  // Left over from what ran before Codex, as the same user.
  const own = text("/proc/self/cgroup");
  const earlier = visible.filter((pid) => !foreign.includes(pid) && ![own, ""].includes(text(`/proc/${pid}/cgroup`)));
  const isAlone = foreign.length === 0 && earlier.length === 0;
  return check(
    "processes",
    isAlone,
    `${visible.length} visible, ${foreign.length} of others, ${earlier.length} from earlier`,
  );
}

function foreignMemory(): Check {
  const readable: string[] = [];
  for (const pid of [1, orders.agentPid]) {
    for (const file of ["environ", "mem", "maps", "cmdline", "status", "fd", "root/etc/shadow"]) {
      const path = `/proc/${pid}/${file}`;
      if (isOpened(path)) {
        readable.push(path);
      }
    }
  }
  return check("foreign_memory", readable.length === 0, `readable of process 1 and the agent: ${list(readable)}`);
}

function sudo(): Check {
  const folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  const names = ["sudo", "doas", "pkexec", "run0"];
  const present = names.flatMap((name) => folders.map((folder) => join(folder, name))).filter((path) => isThere(path));
  return check("sudo", present.length === 0, `sudo and its like: ${list(present)}`);
}

/**
 * No program gives its caller more rights, `su` and its kind included. File capabilities need no search of their own: an
 * empty bounding set and no_new_privs leave nothing of them.
 */
function setuid(): Check {
  // A tenth of the time that looking ourselves would take. It complains of folders closed to us, which do not matter.
  const args = [orders.root, "-xdev", "-type", "f", "-perm", "/6000"];
  const search = spawnSync("find", args, { stdio: ["ignore", "pipe", "ignore"], timeout: HELPER_MS, encoding: "utf8" });
  const found = (search.stdout ?? "").split("\n").filter((line) => line !== "");
  const isDone = search.status === 0 || search.status === 1;
  return check(
    "setuid",
    isDone && found.length === 0,
    `${isDone ? "" : "search failed; "}set-id programs: ${list(found)}`,
  );
}

function interfaces(): Check {
  const names = lines("/proc/self/net/dev")
    .slice(2)
    .map((line) => line.split(":")[0]?.trim() ?? "");
  const addresses = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  const routes = lines("/proc/self/net/route").slice(1);
  const ok = names.join() === "lo" && addresses.every(isLoopback) && routes.length === 0;
  return check("interfaces", ok, `${list(names)} with ${list(addresses)}; routes: ${routes.length}`);
}

function listeners(): Check {
  const tables = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "unix"];
  // In the table of Unix sockets, only names that start with @ are reached through the network namespace.
  const open = tables.flatMap((table) =>
    lines(`/proc/self/net/${table}`)
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => (table === "unix" ? fields[7]?.startsWith("@") : table !== "tcp" || fields[3] === "0A"))
      .map((fields) => `${table} ${table === "unix" ? fields[7] : fields[1]}`),
  );
  const wanted = `tcp 0100007F:${orders.relayPort.toString(16).toUpperCase().padStart(4, "0")}`;
  return check("listeners", open.join() === wanted, `listening: ${list(open)}; the relay is ${wanted}`);
}

async function channel(): Promise<Check> {
  const seen: string[] = [];
  let isShut = orders.brokers.length > 0;
  for (const { host, port } of orders.brokers) {
    const outcome = await tryConnect(host, port, null);
    isShut &&= outcome.startsWith("E");
    seen.push(`connecting to ${host}:${port}: ${outcome}`);
  }
  return check("channel", isShut, seen.join("; "));
}

async function relay(): Promise<Check> {
  const answer = await tryConnect("127.0.0.1", orders.relayPort, "GET /shutdown HTTP/1.1\r\nhost: relay\r\n\r\n");
  return check("relay", /^HTTP\/1\.1 40[34] /.test(answer), `GET /shutdown: ${answer}`);
}

function sockets(): Check {
  const reachable = ["/run", "/var/run", "/tmp", "/var/tmp", "/dev"].flatMap((folder) =>
    entriesOf(folder, true)
      .filter((entry) => entry.isSocket() || entry.isFIFO())
      .map((entry) => join(entry.parentPath, entry.name))
      // What set-up left there is of our own user: nobody listens behind it any more.
      .filter((path) => ownerOf(path) !== orders.uid && isAllowed(path, constants.W_OK)),
  );
  return check("sockets", reachable.length === 0, `sockets of others that can be written to: ${list(reachable)}`);
}

function cgroup(): Check {
  const own = readFileSync("/proc/self/cgroup", "utf8").trim();
  const folder = join(orders.cgroups, orders.cgroup);
  const values = ["pids.max", "memory.max", "memory.swap.max"].map((name) => [name, text(join(folder, name))] as const);
  const writable = [orders.cgroups, folder].flatMap((path) =>
    [path, join(path, "cgroup.procs")].filter((name) => isAllowed(name, constants.W_OK)),
  );
  // Root may write them whatever their mode; then where it stands and what it may use is all there is to see.
  const isClosed = writable.length === 0 || orders.uid === 0;
  const isLimited = values.every(
    ([name, value]) => /^\d+$/.test(value) && (name !== "memory.swap.max" || value === "0"),
  );
  const seen = values.map(([name, value]) => `${name} ${value}`).join(", ");
  const ok = own === `0::/${orders.cgroup}` && isLimited && isClosed;
  return check("cgroup", ok, `${own}; ${seen}; writable: ${list(writable)}`);
}

function limits(): Check {
  const wanted = ["Max core file size", "Max file size", "Max open files"];
  const found = lines("/proc/self/limits").filter((line) => wanted.some((name) => line.startsWith(name)));
  const core = found.find((line) => line.startsWith("Max core file size"));
  const ok =
    /\s0\s+0\s/.test(core ?? "") && found.length === wanted.length && !found.some((line) => /unlimited/.test(line));
  return check("limits", ok, found.map((line) => line.trim().replaceAll(/\s+/g, " ")).join("; "));
}

/** The CLI's own sandbox is made of these; without them it would run commands without any, or none at all. */
function userNamespaces(): Check {
  const args = ["--user", "--map-current-user", "--net", "--pid", "--fork", "--mount-proc", "/bin/true"];
  const made = spawnSync("unshare", args, {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: HELPER_MS,
    encoding: "utf8",
  });
  const seen = made.status === 0 ? "user, network, process and mount namespaces made" : made.stderr.trim();
  return check("user_namespaces", made.status === 0, seen);
}

function sealed(): Check {
  const writable = orders.sealed.filter((path) => isAllowed(path, constants.W_OK));
  const absent = orders.sealed.filter((path) => !isThere(path));
  const seen = `${orders.sealed.length} looked at; writable: ${list(writable)}; absent: ${list(absent)}`;
  return check("sealed", writable.length === 0 && absent.length === 0, seen);
}

function hidden(): Check {
  const readable = orders.hidden.filter((path) => isOpened(path));
  return check("hidden", readable.length === 0, `${orders.hidden.length} looked at; readable: ${list(readable)}`);
}

function devices(): Check {
  const harmless = new Set(["null", "zero", "full", "random", "urandom", "tty", "ptmx"].map((name) => `/dev/${name}`));
  harmless.add("/dev/pts/ptmx");
  const open = entriesOf("/dev", true)
    .filter((entry) => entry.isCharacterDevice() || entry.isBlockDevice())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !harmless.has(path) && isOpened(path));
  return check("devices", open.length === 0, `devices that can be opened besides the harmless ones: ${list(open)}`);
}

function environment(): Check {
  const allowed = new Set(orders.environment);
  const foreign = Object.keys(process.env).filter((name) => !allowed.has(name));
  return check("environment", foreign.length === 0, `unexpected variables: ${list(foreign)}`);
}

function check(name: string, ok: boolean, seen: string): Check {
  return { name, ok, seen: seen.slice(0, SEEN_CHARS_MAX).toWellFormed() };
}

function list(items: readonly string[]): string {
  return items.length === 0 ? "none" : items.join(", ");
}

function statusField(name: string): string {
  const line = lines("/proc/self/status").find((text) => text.startsWith(`${name}:`));
  return line === undefined
    ? "unknown"
    : line
        .slice(name.length + 1)
        .trim()
        .replaceAll(/\s+/g, " ");
}

function isAll(ids: string, wanted: number): boolean {
  const values = ids.split(/\s+/);
  return values.length === 4 && values.every((value) => value === String(wanted));
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

function lines(path: string): string[] {
  return text(path)
    .split("\n")
    .filter((line) => line !== "");
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8").trimEnd();
  } catch {
    return "";
  }
}

function entriesOf(folder: string, recursive = false): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true, recursive });
  } catch {
    return [];
  }
}

function ownerOf(path: string): number | null {
  // A process that ended in between was not foreign: only our own are listed.
  return statSync(path, { throwIfNoEntry: false })?.uid ?? orders.uid;
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isAllowed(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

function isOpened(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY));
    return true;
  } catch {
    return false;
  }
}

/** "connected" or the first line answered to `say`; otherwise the error's code. */
async function tryConnect(host: string, port: number, say: string | null): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect({ host, port, timeout: CONNECT_MS });
  socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "EUNKNOWN"));
  socket.on("timeout", () => resolve("ETIMEDOUT"));
  socket.on("data", (data: Buffer) => resolve(data.toString("latin1").split("\r\n")[0] ?? ""));
  socket.on("connect", () => (say === null ? resolve("connected") : socket.write(say)));
  const outcome = await promise;
  socket.destroy();
  return outcome;
}
