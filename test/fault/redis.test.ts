import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, say, stall } from "../fakes/model/script.ts";
import { eventually } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { expectEnd, redisPid, startRun, whenAskingTheModel } from "./support.ts";

/** The outage itself: longer than any single command may take, so that callers meet it. */
const AWAY_MS = 10_000;
const NOTICED_MS = 30_000;

const answered = { outcome: "succeeded", code: "answered", says: /It holds\./ } as const;
let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({
    scripts: [
      // The model is asked again while Redis is away.
      { when: /works a while/, script: [run("sleep 3"), say("It holds.")] },
      { when: /stalls once/, script: [stall({ times: 1 }), say("It holds.")] },
    ],
  });
});

afterAll(() => world?.close());

function ready(): Promise<number | null> {
  return fetch(`${world.service().addresses.internal}/readyz`).then(
    ({ status }) => status,
    () => null,
  );
}

async function becomes(status: number): Promise<void> {
  await eventually(
    async () => ((await ready()) === status ? true : null),
    NOTICED_MS,
    async () => `readiness says ${await ready()}`,
  );
}

describe("the embedded Redis", () => {
  it("may be away for ten seconds while Codex runs: the run goes on and is published once", async () => {
    const started = await startRun(world, { prompt: "works a while" });
    await whenAskingTheModel(world, started);
    const pid = await redisPid(world);
    process.kill(pid, "SIGSTOP");
    try {
      await Promise.all([becomes(503), wait(AWAY_MS)]);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await becomes(200);
    await expectEnd(world, started, answered);
  });

  it("may be killed while Codex runs: it is started again, and the run is published once", async () => {
    const started = await startRun(world, { prompt: "works a while" });
    await whenAskingTheModel(world, started);
    const pid = await redisPid(world);
    process.kill(pid, "SIGKILL");
    await expectEnd(world, started, answered);
    expect(await redisPid(world)).not.toBe(pid);
    expect(world.service().log()).toContain("was started again");
  });

  it("may die together with the service: the next start brings both back, and the run is published once", async () => {
    const started = await startRun(world, { prompt: "stalls once" });
    const machine = await whenAskingTheModel(world, started);
    await world.service().kill();
    process.kill(await redisPid(world), "SIGKILL");
    await world.restart();
    expect(world.service().addresses.redis).toBe("embedded");
    const { run: ended } = await expectEnd(world, started, answered);
    expect(ended.gone.map((gone) => gone.machine)).toEqual([machine]);
  });

  it("ends the service with a clear error when it cannot be brought back, so that its supervisor may", async () => {
    const manifest = `${world.stateDir}/redis/appendonlydir/appendonly.aof.manifest`;
    const before = await readFile(manifest);
    await writeFile(manifest, "this is no manifest\n");
    const { process: service } = world.service();
    const ended = once(service, "exit");
    process.kill(await redisPid(world), "SIGKILL");
    expect(await ended).toEqual([1, null]);
    expect(world.service().log()).toMatch(/mayfly: the embedded Redis ended with code 1; see .*redis\.log/);
    await writeFile(manifest, before);
    await world.restart();
    await becomes(200);
  });
});
