import type { MachineId } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { listProcesses, machineOf } from "./processes.ts";

const id = "mch_00000000000000000001" as MachineId;
const keeper = {
  pid: 7,
  uid: 1000,
  argv: ["/usr/bin/bwrap", "--", "/usr/bin/qemu-system-x86_64", "-name", id, "-smp", "1"],
};

describe("machineOf", () => {
  it("knows a machine's process by QEMU's name argument", () => {
    expect(machineOf(keeper, 1000)).toBe(id);
  });

  it("believes no process of another user", () => {
    expect(machineOf({ ...keeper, uid: 1001 }, 1000)).toBeNull();
  });

  it("takes no process for a machine that merely mentions one", () => {
    expect(machineOf({ ...keeper, argv: ["tail", "-f", `/state/machines/${id}/console.log`] }, 1000)).toBeNull();
    expect(machineOf({ ...keeper, argv: ["grep", id, "log"] }, 1000)).toBeNull();
    expect(machineOf({ ...keeper, argv: ["qemu", "-name"] }, 1000)).toBeNull();
    expect(machineOf({ ...keeper, argv: [] }, 1000)).toBeNull();
  });
});

describe("listProcesses", () => {
  it("shows this very process with its arguments, and none of another user's", async () => {
    const uid = process.getuid?.() ?? 0;
    expect(await listProcesses(uid)).toContainEqual(
      expect.objectContaining({ pid: process.pid, uid, argv: expect.arrayContaining([process.execPath]) as string[] }),
    );
    const strangers = await listProcesses(uid + 1);
    expect(strangers.find(({ pid }) => pid === process.pid)?.argv).toEqual([]);
  });
});
