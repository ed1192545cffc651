import { describe, expect, it } from "vitest";
import { machineOf, NOW } from "./fleet.fixture.ts";
import { decideMachine, type Machine } from "./machine.ts";
import { type FormerMachine, upgradeMachine } from "./machine-upgrade.ts";
import type { RunId } from "./ids.ts";

const present = machineOf("1");
const claim = { run: `run_${"1".repeat(20)}` as RunId, epoch: 1 };

/** What every record of the former version had. */
function former(rest: Record<string, unknown> & { phase: FormerMachine["phase"] }): FormerMachine {
  const { schema, id, provider, acceleration, image, createdAt, deadline } = present;
  return { schema, id, provider, acceleration, image, createdAt, deadline, ...rest };
}

describe("a machine's record of a former version", () => {
  it("that was only intended is to be destroyed", () => {
    const machine = upgradeMachine(former({ phase: "intended" }));
    expect(machine).toMatchObject({ phase: "destroying", why: "launch_failed", since: NOW, claim: null });
    expect(decideMachine(machine, { type: "tick" }, NOW).effects).toEqual([{ type: "destroy" }]);
  });

  it("gets what was added since", () => {
    expect(upgradeMachine(former({ phase: "booting", launchedAt: NOW + 5 }))).toEqual({
      ...present,
      launch: `lch_${present.id.slice(4)}`,
      launchedAt: NOW + 5,
      spec: present.image,
      enrolled: null,
    });
    expect(upgradeMachine(former({ phase: "ready", readyAt: NOW + 7, heardAt: NOW + 9 }))).toMatchObject({
      launchedAt: NOW,
      readyAt: NOW + 7,
      heardAt: NOW + 9,
    });
  });

  it("that was claimed keeps its claim, and lives on", () => {
    const machine = upgradeMachine(former({ phase: "claimed", claim, heardAt: NOW + 9 }));
    expect(machine).toMatchObject({ phase: "claimed", readyAt: NOW, claim, heardAt: NOW + 9 });
    expect(decideMachine(machine, { type: "tick" }, NOW + 10).machine).toBe(machine);
  });

  it("keeps why it ended", () => {
    const evidence = { at: NOW, checks: [{ what: "process", absent: true }] };
    const gone = upgradeMachine(former({ phase: "gone", why: "idle", evidence, claim: null }));
    expect(gone).toMatchObject({ phase: "gone", why: "idle", evidence, launchedAt: NOW, spec: present.image });
  });

  it("is left as it is when nothing is missing", () => {
    const records: Machine[] = [present, machineOf("2", { isReady: true })];
    for (const record of records) {
      expect(upgradeMachine(record)).toBe(record);
    }
  });
});
