import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, say, stall } from "../fakes/model/script.ts";
import { eventually, processesNaming } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { expectEnd, RUN_MS, startRun, whenAskingTheModel, whenever, whenIn } from "./support.ts";

/** Steps at work may end; machines are left alone, so nothing else takes time. */
const STOP_MS = 15_000;

const answered = { outcome: "succeeded", code: "answered", says: /It holds\./ } as const;
let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({
    scripts: [
      { when: /stalls once/, script: [stall({ times: 1 }), say("It holds.")] },
      // Long enough for a test to act between the first question and the answer.
      { when: /answers/, script: [run("sleep 2"), say("It holds.")] },
    ],
  });
});

afterAll(() => world?.close());

describe("a service that is killed", () => {
  it("adopts its Redis and its machine at the next start when Codex was running, and publishes once", async () => {
    const started = await startRun(world, { prompt: "stalls once" });
    const machine = await whenAskingTheModel(world, started);
    await world.service().kill();
    expect(await processesNaming(machine)).not.toEqual([]);
    await world.restart();
    expect(world.service().addresses.redis).toBe("embedded, adopted");
    const { run: ended } = await expectEnd(world, started, answered);
    expect(ended.gone.map((gone) => gone.machine)).toEqual([machine]);
  });

  it("publishes once after it was killed right after the claim", async () => {
    const started = await startRun(world, { prompt: "answers" });
    await whenIn(world, started, ["running"]);
    await world.service().kill();
    await world.restart();
    // If the claim's answer was lost with the service, that machine may serve nobody else: it is replaced.
    await expectEnd(world, started, { ...answered, attempts: [1, 2] });
  });

  it("publishes once after it was killed as soon as the result was there", async () => {
    const started = await startRun(world, { prompt: "answers" });
    await whenIn(world, started, ["destroying", "publishing"]);
    await world.service().kill();
    await world.restart();
    await expectEnd(world, started, answered);
  });

  it("publishes once after it was killed before it could write anything", async () => {
    let isSlow = false;
    const pathPattern = whenever((path) => isSlow && path.endsWith("/access_tokens"));
    world.github.failNext({ method: "POST", pathPattern, delayMs: 5_000, times: 1_000 });
    const started = await startRun(world, { prompt: "answers" });
    await whenAskingTheModel(world, started);
    isSlow = true;
    await whenIn(world, started, ["publishing"]);
    await world.service().kill();
    isSlow = false;
    expect(JSON.stringify(world.github.pullRequest(started.pull).comments)).not.toMatch(answered.says);
    await world.restart();
    await expectEnd(world, started, answered);
  });

  it("has one comment after it was killed when that was made and the answer to it was lost", async () => {
    let repo = "";
    const isTheirs = (path: string) => repo !== "" && path.startsWith(`/repos/${repo}/issues/`);
    const pathPattern = whenever((path) => isTheirs(path) && path.endsWith("/comments"));
    world.github.failNext({ method: "POST", pathPattern, lost: true });
    const started = await startRun(world, { prompt: "answers", onRepository: (name) => (repo = name) });
    await eventually(
      async () => (world.github.pullRequest(started.pull).comments.length > 0 ? true : null),
      RUN_MS,
      async () => world.service().log().slice(-2_000),
    );
    await world.service().kill();
    await world.restart();
    await expectEnd(world, started, answered);
  });
});

describe("a service that is told to stop", () => {
  it("stops within seconds, leaves the machine at work, and publishes once after the next start", async () => {
    const started = await startRun(world, { prompt: "stalls once" });
    const machine = await whenAskingTheModel(world, started);
    const began = performance.now();
    await world.service().stop();
    expect(performance.now() - began).toBeLessThan(STOP_MS);
    expect(world.service().process.exitCode).toBe(0);
    expect(await processesNaming(machine)).not.toEqual([]);
    await world.restart();
    const { run: ended } = await expectEnd(world, started, answered);
    expect(ended.gone.map((gone) => gone.machine)).toEqual([machine]);
  });
});
