import { isMachineId, type MachineId } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { instanceIdOf, machineIdOf } from "./machine-id.ts";

describe("machine ids of instances", () => {
  it.each(["i-00000000000000000", "i-0123456789abcdef0", "i-fffffffffffffffff", "i-00000000000000001"])(
    "lead from %s to a machine and back",
    (instance) => {
      const machine = machineIdOf(instance);
      expect(machine).not.toBeNull();
      expect(isMachineId(machine ?? "")).toBe(true);
      expect(instanceIdOf(machine as MachineId)).toBe(instance);
    },
  );

  it("differ wherever instance ids differ", () => {
    const ids = Array.from({ length: 68 }, (_, bit) => `i-${(1n << BigInt(bit)).toString(16).padStart(17, "0")}`);
    expect(new Set(ids.map(machineIdOf)).size).toBe(68);
  });

  it.each(["", "i-", "i-01234567", "i-0123456789ABCDEF0", "i-0123456789abcdef01", "vol-0123456789abcdef0"])(
    "are not made of %j",
    (text) => {
      expect(machineIdOf(text)).toBeNull();
    },
  );

  it("know a machine that no instance can be", () => {
    // Bit 68: the first beyond an instance id.
    expect(instanceIdOf("mch_00000080000000000000" as MachineId)).toBeNull();
    expect(instanceIdOf("mch_zzzzzzzzzzzzzzzzzzzz" as MachineId)).toBeNull();
    expect(instanceIdOf("mch_0000007zzzzzzzzzzzzz" as MachineId)).toBe("i-fffffffffffffffff");
  });
});
