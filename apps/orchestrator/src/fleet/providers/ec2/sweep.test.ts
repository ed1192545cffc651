import { describe, expect, it } from "vitest";
import { decideSweep } from "./sweep.ts";
import { instanceIdNumber, seenInstance, seenThing } from "./testing.fixture.ts";

const MINUTE = 60_000;
const now = 1_800_000_000_000;
const overdue = now - 10 * MINUTE;

function swept(options: Partial<Parameters<typeof decideSweep>[0]>): string[] {
  const { instances, things } = decideSweep({ instances: [], things: [], now, ...options });
  return [...instances, ...things].map(({ id }) => id);
}

describe("a sweep", () => {
  it("takes what outlived its deadline by ten minutes, and nothing that did not", () => {
    const instances = [overdue, overdue + 1, now].map((deadline, index) =>
      seenInstance({ id: instanceIdNumber(index + 1), deadline }),
    );
    const things = [overdue, overdue + 1].map((deadline, index) => seenThing({ id: `vol-${index}`, deadline }));
    expect(swept({ instances, things })).toEqual([instanceIdNumber(1), "vol-0"]);
  });

  it.each(["pending", "running", "stopping", "stopped"] as const)("takes an instance that is %s", (state) => {
    expect(swept({ instances: [seenInstance({ state, deadline: overdue })] })).toHaveLength(1);
  });

  it.each(["shutting-down", "terminated"] as const)("leaves an instance that is %s", (state) => {
    expect(swept({ instances: [seenInstance({ state, deadline: overdue })] })).toEqual([]);
  });

  it("leaves what something holds: it goes with that", () => {
    const held = seenThing({ attachedTo: [instanceIdNumber(1)], loose: false, deadline: overdue });
    expect(swept({ things: [held] })).toEqual([]);
  });

  it("takes what has no deadline after two days, where EC2 says when it was made", () => {
    const made = now - 48 * 60 * MINUTE;
    expect(swept({ instances: [seenInstance({ deadline: null, launchedAt: made })] })).toHaveLength(1);
    expect(swept({ instances: [seenInstance({ deadline: null, launchedAt: made + 1 })] })).toEqual([]);
    expect(swept({ things: [seenThing({ deadline: null, createdAt: made })] })).toHaveLength(1);
    expect(swept({ things: [seenThing({ deadline: null, createdAt: null })] })).toEqual([]);
  });
});
