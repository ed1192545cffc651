import { AppError, type MachineId } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { uidOffsets } from "../../../confine/uid-offsets.ts";
import { chooseUidOffset } from "./uid-allocation.ts";

const { first } = uidOffsets.machines;
const subuids = { first: 100_000, count: first + 3 };
const id = "mch_00000000000000000001" as MachineId;
const nobody = { taken: new Set<number>(), uids: new Set<number>() };

describe("chooseUidOffset", () => {
  it("gives the same machine the same uid when nothing is in the way", () => {
    const range = { first: 100_000, count: 65_536 };
    expect(chooseUidOffset({ id, subuids: range, ...nobody })).toBe(chooseUidOffset({ id, subuids: range, ...nobody }));
  });

  it("stays within the machines' part of the range and gives nobody's offset twice", () => {
    const taken = new Set<number>();
    for (let i = 0; i < 3; i++) {
      taken.add(chooseUidOffset({ id, subuids, taken, uids: new Set() }));
    }
    expect([...taken].toSorted((a, b) => a - b)).toEqual([first, first + 1, first + 2]);
  });

  it("avoids uids under which something runs that no record knows", () => {
    const uids = new Set([subuids.first + first, subuids.first + first + 2]);
    expect(chooseUidOffset({ id, subuids, taken: new Set(), uids })).toBe(first + 1);
  });

  it("fails when the range is used up", () => {
    const taken = new Set([first, first + 1, first + 2]);
    expect(() => chooseUidOffset({ id, subuids, taken, uids: new Set() })).toThrow(AppError);
  });
});
