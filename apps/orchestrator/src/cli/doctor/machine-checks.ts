import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { stat, statfs } from "node:fs/promises";
import { totalmem } from "node:os";
import { promisify } from "node:util";
import { type Config, limits } from "@mayfly/core";
import { bundleAgent, findImage, type Image } from "@mayfly/image";
import type { Accounts } from "../../host/account.ts";
import { seal } from "../../process/handover.ts";
import { processEnvironment } from "../../process/process-environment.ts";
import type { Terminal } from "../terminal.ts";
import { type Checklist, fail, type Finding, ok, warn } from "./checklist.ts";
import { nearestAbove } from "./host-checks.ts";
import { type Probed, probeMachines, type ProbeSettings } from "./probe-machines.ts";

const QEMU = "/usr/bin/qemu-system-x86_64";
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** An image and the layers it is built of, once and while the next is built. */
const DISK_MIN = 2 * GIB;
/** Some images, and the sources and archives of some weeks. */
const DISK_ADVISED = 10 * GIB;
const BUILD = "mayfly image build";
const DISK_FIX = "see that cache_dir and state_dir are on file systems of this host";

/** What machines on this host need. Builds no image and leaves no machine. */
export async function lookAtQemu(
  list: Checklist,
  terminal: Terminal,
  config: Config,
  accounts: Accounts | null,
): Promise<void> {
  await list.check("qemu", "apt-get install qemu-system-x86", qemuFinding);
  const image = await lookForImage(list, config.cacheDir);
  await list.check("disk space", DISK_FIX, () => diskFinding([config.cacheDir, config.stateDir]));
  await list.check("memory", "see fleet.machines_max and fleet.memory_mib", () => memoryFinding(config));
  const settings = { image, allowEmulation: config.fleet.allowEmulation };
  let probed = null as Probed | null;
  const fix = "mend what the message names: mayfly serve needs the same";
  const confined = await list.check(
    "confinement",
    fix,
    async () => {
      probed = await probe(terminal, settings, accounts);
      return probed.confinement;
    },
    limits.doctorMachinesMs,
  );
  const found = probed;
  if (found === null || found.acceleration.status === "skipped") {
    list.skip(["kvm"], found === null ? `the confinement is not known: ${confined.seen}` : found.acceleration.seen);
    return;
  }
  list.tell({ name: "kvm", ...found.acceleration, ms: 0 });
}

async function qemuFinding(): Promise<Finding> {
  try {
    const { stdout } = await promisify(execFile)(QEMU, ["--version"], { timeout: limits.doctorCheckMs });
    return ok((stdout.split("\n")[0] ?? "").slice(0, 100));
  } catch {
    return fail(`${QEMU} does not start`, "apt-get install qemu-system-x86");
  }
}

/** Null where there is none for this very source. */
async function lookForImage(list: Checklist, cacheDir: string): Promise<Image | null> {
  let image = null as Image | null;
  await list.check("image", BUILD, async () => {
    const { code } = await bundleAgent();
    const found = await findImage({ cacheDir, agentBundle: code });
    if (found === null) {
      return warn(`none of this source in ${cacheDir}: the first start builds it, which takes minutes`, BUILD);
    }
    if (!found.ok) {
      return fail(`damaged: ${found.problems.join("; ")}`, BUILD);
    }
    image = found.image;
    return ok(found.image.digest);
  });
  return image;
}

async function diskFinding(folders: readonly string[]): Promise<Finding> {
  const looks = await Promise.all(
    folders.map(async (folder) => {
      const isThere = await stat(folder).then(
        () => true,
        () => false,
      );
      const { bavail, bsize } = await statfs(isThere ? folder : await nearestAbove(folder));
      return { folder, free: bavail * bsize };
    }),
  );
  const seen = looks.map(({ folder, free }) => `${gib(free)} GiB free at ${folder}`).join(", ");
  const least = Math.min(...looks.map(({ free }) => free));
  const fix = `free some, with mayfly image prune to begin with, or name another place in cache_dir and state_dir: ${gib(DISK_ADVISED)} GiB are enough for long`;
  if (least >= DISK_ADVISED) {
    return ok(seen);
  }
  return least >= DISK_MIN ? warn(seen, fix) : fail(seen, fix);
}

function memoryFinding({ fleet }: Config): Finding {
  const wanted = fleet.machinesMax * fleet.memoryMib * MIB;
  const seen = `${fleet.machinesMax} machines of ${fleet.memoryMib} MiB take up to ${gib(wanted)} of ${gib(totalmem())} GiB`;
  const fitting = Math.floor(totalmem() / (fleet.memoryMib * MIB));
  return wanted <= totalmem()
    ? ok(seen)
    : warn(
        seen,
        `set fleet.machines_max (MAYFLY_MACHINES_MAX) to ${Math.max(1, fitting - 1)}, or fleet.memory_mib to less`,
      );
}

function gib(bytes: number): string {
  return (bytes / GIB).toFixed(1);
}

/** As the service's user: in a process of its own if we are root. */
async function probe(terminal: Terminal, settings: ProbeSettings, accounts: Accounts | null): Promise<Probed> {
  if (accounts === null) {
    return probeMachines(settings);
  }
  const child = spawn(process.execPath, [terminal.program, "process", "doctor"], {
    env: processEnvironment(terminal.env),
    stdio: ["pipe", "pipe", "inherit"],
    timeout: limits.doctorMachinesMs,
    killSignal: "SIGKILL",
  });
  // One that ends before it has read everything says why by its exit code.
  child.stdin.on("error", () => undefined);
  child.stdin.end(seal({ account: accounts.service, settings }));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) {
    throw new Error(`the look as ${accounts.service.name} ended with ${code ?? "a signal"}`);
  }
  return JSON.parse(text) as Probed;
}
