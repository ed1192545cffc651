import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { isMachineId, type MachineId } from "@mayfly/core";
import { run, say } from "../../../fakes/model/script.ts";
import { eventually, processesNaming } from "../../../support/service.ts";
import type { TestWorld } from "../../../support/world.ts";
import type { Row } from "../../row.ts";
import { RUN_MS, startRun } from "../../scene.ts";
import { createTally, type Tally } from "../../tally.ts";
import { machineWorld, type MachineWorld } from "./world.ts";

const NAMESPACES = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] as const;

/** Everything on this host that a machine is made of. */
interface Inventory {
  readonly processes: readonly number[];
  /** Namespaces that only its processes are in. */
  readonly namespaces: readonly string[];
  readonly sockets: readonly string[];
  readonly files: readonly string[];
}

/** A moment of a run, and what is killed then. */
interface Blow {
  readonly name: string;
  readonly when: (world: TestWorld, id: string) => Promise<MachineId | null>;
  readonly strike: (world: TestWorld, machine: MachineId) => Promise<void>;
}

export const survivors: Row = {
  id: "T27",
  attack: "The service or the emulator is killed at a bad moment, and something of the machine survives.",
  needs: "machine",
  control: "before each blow the machine's processes, namespaces, sockets and files are found",
  async run(context) {
    const tally = createTally();
    const shared = await machineWorld(context, "plain");
    shared.answer(/Work until (.*) is killed\./, [run("/bin/busybox sleep 3"), say("Done.")]);
    for (const blow of blows.slice(0, context.cases(blows.length, 1))) {
      await survive(tally, shared, blow);
    }
    return tally.verdict("every machine was gone with all that it was made of");
  },
};

async function survive(tally: Tally, { world }: MachineWorld, { name, when, strike }: Blow): Promise<void> {
  const { id } = await startRun(world, { prompt: `Work until ${name} is killed.` });
  const machine = await eventually(
    () => when(world, id),
    RUN_MS,
    async () => `${name}: the moment did not come: ${world.service().log().slice(-1_000)}`,
  );
  const before = await inventoryOf(world, machine, []);
  for (const [what, found] of Object.entries(before)) {
    tally.control(found.length > 0, `${name}: no ${what} of the machine were found`);
  }
  await strike(world, machine);
  const { run: ended } = await world.control.waitFor(id, ({ receipt }) => receipt !== null, RUN_MS * 2);
  const machines = new Set([machine, ...ended.gone.map((one) => one.machine)]);
  for (const one of machines) {
    const after = await inventoryOf(world, one, one === machine ? before.namespaces : []);
    tally.equal(after, { processes: [], namespaces: [], sockets: [], files: [] }, `${name}: what is left of ${one}`);
  }
  tally.equal(ended.gone.length, ended.epoch, `${name}: machines proved gone`);
}

async function killAndRestart(world: TestWorld): Promise<void> {
  await world.service().kill();
  await world.restart();
}

const atWork: Blow["when"] = async (world, id) => {
  const { run: seen } = await world.control.view(id);
  return seen.phase === "running" && seen.modelCalls > 0 ? seen.attempt.machine : null;
};

const booting: Blow["when"] = async (world, id) => {
  const { run: seen } = await world.control.view(id);
  const names: string[] = await readdir(join(world.stateDir, "machines")).catch(() => []);
  const machine = names.find(isMachineId);
  const isThere = machine !== undefined && (await emulatorsOf(machine)).length > 0;
  return seen.phase === "queued" && isThere ? machine : null;
};

const blows: readonly Blow[] = [
  { name: "the service at work", when: atWork, strike: killAndRestart },
  { name: "the service while the machine boots", when: booting, strike: killAndRestart },
  {
    name: "the emulator",
    when: atWork,
    async strike(_, machine) {
      for (const pid of await emulatorsOf(machine)) {
        process.kill(pid, "SIGKILL");
      }
    },
  },
  {
    name: "what keeps the emulator",
    when: atWork,
    async strike(_, machine) {
      const emulators = await emulatorsOf(machine);
      for (const pid of await processesNaming(machine)) {
        if (!emulators.includes(pid)) {
          process.kill(pid, "SIGKILL");
        }
      }
    },
  },
];

async function emulatorsOf(machine: MachineId): Promise<number[]> {
  const pids = await processesNaming(machine);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((_, index) => lines[index]?.split("\0")[0]?.endsWith("qemu-system-x86_64") === true);
}

/** `known`: namespaces that were found before, which are looked for in all processes of the host. */
async function inventoryOf(world: TestWorld, machine: MachineId, known: readonly string[]): Promise<Inventory> {
  const processes = await processesNaming(machine);
  const hosts = new Set(await namespacesOf("self"));
  const own = (await Promise.all((await emulatorsOf(machine)).map(namespacesOf))).flat();
  const all = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const everywhere = known.length === 0 ? [] : new Set((await Promise.all(all.map(namespacesOf))).flat());
  const folder = join(world.stateDir, "machines", machine);
  return {
    processes,
    namespaces: [
      ...new Set([...own.filter((one) => !hosts.has(one)), ...[...everywhere].filter((one) => known.includes(one))]),
    ],
    sockets: (await readFile("/proc/net/unix", "utf8")).split("\n").filter((line) => line.includes(machine)),
    files: await readdir(folder, { recursive: true }).catch(() => []),
  };
}

async function namespacesOf(pid: number | string): Promise<string[]> {
  const links = NAMESPACES.map((name) => readlink(`/proc/${pid}/ns/${name}`).catch(() => null));
  return (await Promise.all(links)).filter((one) => one !== null);
}
