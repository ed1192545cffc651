import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { say, type Script, stallBeforeFirstByte } from "../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { expectEnd, killQemu, RUN_MS, startRun, whenAskingTheModel } from "./support.ts";

let world: TestWorld;

/** Not one byte to the first that asks, whoever it is: the second machine's Codex begins a conversation of its own. */
function silentOnce(): Script {
  let asked = 0;
  return () => {
    asked += 1;
    return asked === 1 ? [stallBeforeFirstByte(), say("")] : say("It holds.");
  };
}

beforeAll(async () => {
  world = await startWorld({
    scripts: [
      { when: /silent once/, script: silentOnce() },
      { when: /silent for ever/, script: [stallBeforeFirstByte()] },
    ],
  });
});

afterAll(() => world?.close());

describe("a machine that dies while Codex runs in it", () => {
  it("is replaced once, and the run gets its answer from the new one", async () => {
    const started = await startRun(world, { prompt: "silent once" });
    const first = await whenAskingTheModel(world, started);
    await killQemu(first);
    const { run } = await expectEnd(world, started, {
      outcome: "succeeded",
      code: "answered",
      says: /It holds\./,
      attempts: [2],
    });
    expect(new Set(run.gone.map(({ machine }) => machine)).size).toBe(2);
    expect(run.gone[0]?.machine).toBe(first);
  });

  it("ends the run as lost when the one that replaced it dies as well", async () => {
    const started = await startRun(world, { prompt: "silent for ever" });
    await killQemu(await whenAskingTheModel(world, started));
    const { run } = await world.control.waitFor(
      started.id,
      (seen) => seen.run.phase === "running" && seen.run.epoch === 2 && seen.run.modelCalls > 1,
      RUN_MS,
    );
    await killQemu(run.phase === "running" ? run.attempt.machine : "");
    await expectEnd(world, started, { outcome: "lost", code: "machine_lost", attempts: [2] });
  });
});
