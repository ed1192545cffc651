import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";

/** Things that a test of Mayfly can leave behind on the host, by name. */
export type Leftovers = ReadonlySet<string>;

/** Programs that only Mayfly's tests start, as they appear in /proc/PID/cmdline. */
const OURS = /qemu-system-|redis-server |\/socat |mayfly serve|orchestrator\/src\/main\.ts|bwrap |mmdebstrap/;
const OUR_FOLDERS = /^(mayfly|codex)-/;

/**
 * What is on the host now that our tests could have left: processes, mounts, network namespaces, folders in the
 * temporary folder. Compared with what was there before, the rest is ours.
 */
export async function findLeftovers(): Promise<Leftovers> {
  const [processes, mounts, names, folders] = await Promise.all([
    findProcesses(),
    readLines("/proc/self/mounts"),
    readdir("/run/netns").catch(() => []),
    readdir(tmpdir()),
  ]);
  return new Set([
    ...processes,
    ...mounts.map((line) => `mount ${line.split(" ")[1] ?? ""}`),
    ...names.map((name) => `network namespace ${name}`),
    ...folders.filter((name) => OUR_FOLDERS.test(name)).map((name) => `folder ${tmpdir()}/${name}`),
  ]);
}

/** What is there now and was not there before. */
export function newSince(before: Leftovers, after: Leftovers): string[] {
  return [...after].filter((one) => !before.has(one));
}

async function findProcesses(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const line = (await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")).replaceAll("\0", " ");
      return OURS.test(line) ? [`process ${pid}: ${line.slice(0, 120)}`] : [];
    }),
  );
  return found.flat();
}

async function readLines(path: string): Promise<string[]> {
  return (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
}
