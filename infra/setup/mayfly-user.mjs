/**
 * The system users that the service's processes run as when it is started by root. Plain JavaScript for Node 20 and
 * without dependencies: it runs before anything is installed.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync } from "node:fs";

const USER = "mayfly";
const HOME = "/var/lib/mayfly";
/** Each holds one kind of credential and owns nothing else: no home, no subordinate ids. */
const HOLDERS = ["mayfly-broker", "mayfly-signer"];
/** Subordinate ids: one for each machine that exists at the same time, with room for a gap between services. */
const SUBORDINATE_IDS = 65_536;
/** Where Debian's own tools begin to hand out subordinate ids. */
const SUBORDINATE_FIRST = 100_000;

/**
 * Makes the user `mayfly` (no login, home /var/lib/mayfly, in group kvm where there is one) with 65,536 subordinate
 * uids and gids, and `mayfly-broker` and `mayfly-signer`, or leaves them as they are. Idempotent; needs root and package
 * uidmap.
 *
 * @returns {{ name: string, uid: number, gid: number, home: string }}
 */
export function ensureMayflyUser() {
  if (process.getuid?.() !== 0) {
    throw new Error("only root can make the user mayfly");
  }
  if (entry("passwd") === null) {
    run("useradd", [
      "--system",
      "--user-group",
      "--create-home",
      "--home-dir",
      HOME,
      "--shell",
      "/usr/sbin/nologin",
      USER,
    ]);
  }
  for (const holder of HOLDERS.filter((name) => entry("passwd", name) === null)) {
    run("useradd", [
      "--system",
      "--user-group",
      "--no-create-home",
      "--home-dir",
      "/nonexistent",
      "--shell",
      "/usr/sbin/nologin",
      holder,
    ]);
  }
  if (entry("group", "kvm") !== null) {
    run("usermod", ["--append", "--groups", "kvm", USER]);
  }
  ensureRange("/etc/subuid", "--add-subuids");
  ensureRange("/etc/subgid", "--add-subgids");
  const fields = entry("passwd") ?? [];
  // Records, keys and consoles lie below it, each closed by itself: broker and signer pass through to their own folders.
  chmodSync(fields[5] ?? HOME, 0o711);
  return { name: USER, uid: Number(fields[2]), gid: Number(fields[3]), home: fields[5] ?? HOME };
}

function entry(database, key = USER) {
  try {
    return execFileSync("getent", [database, key], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .trim()
      .split(":");
  } catch {
    return null;
  }
}

/** A system user gets no range from useradd, and usermod would add a second one each time it is asked. */
function ensureRange(file, option) {
  const ranges = readRanges(file);
  if (ranges.some((range) => range.name === USER)) {
    return;
  }
  const first = Math.max(SUBORDINATE_FIRST, ...ranges.map((range) => range.first + range.count));
  run("usermod", [option, `${first}-${first + SUBORDINATE_IDS - 1}`, USER]);
}

function readRanges(file) {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error.code !== "ENOENT") {
      throw error;
    }
  }
  return text
    .split("\n")
    .map((line) => line.split(":"))
    .filter((fields) => fields.length === 3)
    .map(([name, first, count]) => ({ name, first: Number(first), count: Number(count) }));
}

function run(command, args) {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "inherit"] });
}
