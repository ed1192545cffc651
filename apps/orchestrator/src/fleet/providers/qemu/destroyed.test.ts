import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MachineId } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ServiceUser } from "../../../confine/service-user.ts";
import { destroyMachine } from "./destroy.ts";
import { createLaunch } from "./launch.ts";
import { machineFolder } from "./machine-folder.ts";

const HOUR_MS = 3_600_000;
const NOW = Date.UTC(2026, 0, 5, 12);
const user = { uid: process.getuid?.() ?? 0, subuids: { first: 100_000, count: 65_536 } } as ServiceUser;

let stateDir: string;
let now: number;
const clock = { now: () => now };

beforeEach(async () => {
  now = NOW;
  stateDir = await mkdtemp(join(tmpdir(), "mf-"));
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

function machine(digit: number): MachineId {
  return `mch_${String(digit).repeat(20)}` as MachineId;
}

/** As far as it gets here, a launch prepares a machine: that is what must not happen. */
function launch(id: MachineId): Promise<void> {
  const prepare = () => Promise.reject(new Error("it is made"));
  const shape = { acceleration: "emulated", memoryMib: 1, cpus: 1, debugDump: false } as const;
  const confine = () => ({ command: "", args: [] });
  return createLaunch({ stateDir, user, confine, clock, shape, prepare })({ id, deadline: now + HOUR_MS });
}

describe("a machine that was destroyed", () => {
  it("is not made again when its launch, which did not hear of it, is asked again", async () => {
    await expect(launch(machine(1))).rejects.toThrow("it is made");
    await destroyMachine({ stateDir, user, clock }, machine(1));
    await launch(machine(1));
    expect(await readdir(join(stateDir, "machines"))).toEqual([]);
  });

  it("is not made again though the destruction was cut short", async () => {
    await mkdir(machineFolder(stateDir, machine(1)).root, { recursive: true });
    await destroyMachine({ stateDir, user, clock }, machine(1));
    await destroyMachine({ stateDir, user, clock }, machine(1));
    await launch(machine(1));
  });

  it("is removed though the note of it cannot be written", async () => {
    const { root } = machineFolder(stateDir, machine(1));
    await mkdir(root, { recursive: true });
    await writeFile(join(stateDir, "destroyed"), "");
    await expect(destroyMachine({ stateDir, user, clock }, machine(1))).rejects.toThrow("EEXIST");
    expect(await readdir(join(stateDir, "machines"))).toEqual([]);
    expect((await destroyMachine({ stateDir, user, clock }, machine(1))).checks.every(({ absent }) => absent)).toBe(
      true,
    );
  });

  it("and was never there leaves no note", async () => {
    await destroyMachine({ stateDir, user, clock }, machine(1));
    expect(await readdir(stateDir)).toEqual([]);
  });

  it("is forgotten long after any launch of it can be open", async () => {
    for (const digit of [1, 2]) {
      await mkdir(machineFolder(stateDir, machine(digit)).root, { recursive: true });
      await destroyMachine({ stateDir, user, clock }, machine(digit));
      now += HOUR_MS + 1;
    }
    expect(await readdir(join(stateDir, "destroyed"))).toEqual([machine(2)]);
  });
});
