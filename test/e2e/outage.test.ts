import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startWorld, type TestWorld } from "../support/world.ts";
import { ended, endingOf, handled, LABEL, leave, label, MAINTAINER, openPull, published, sent } from "./scene.ts";

/** GitHub itself waits 10 s; the store is given up on before. */
const ANSWER_MS = 8_000;
/** A delivery younger than half a minute may still be on its way, so the log's look leaves it alone. */
const SETTLED_MS = 60_000;

let world: TestWorld;

beforeAll(async () => {
  world = await startWorld();
});

afterAll(() => leave(world));

describe("while Redis does not answer", () => {
  it("a webhook gets 503 in time and readiness says no; both work again afterwards, and nothing is lost", async () => {
    const pull = await openPull(world, { name: "stopped-redis", task: null });
    const redis = await redisPid();
    const { internal, webhook } = world.service().addresses;
    const guid = randomUUID();
    const ping = { event: "ping", guid, body: '{"zen":"Keep it logically awesome.","hook_id":1}' };
    process.kill(redis, "SIGSTOP");
    try {
      const began = performance.now();
      const refused = await world.github.deliver(ping);
      expect(refused.statusCode).toBe(503);
      expect(performance.now() - began).toBeLessThan(ANSWER_MS);
      expect((await fetch(`${internal}/readyz`)).status).toBe(503);
      expect((await fetch(new URL("/livez", webhook))).status).toBe(200);
    } finally {
      process.kill(redis, "SIGCONT");
    }
    expect((await fetch(`${internal}/readyz`)).status).toBe(200);
    expect((await world.github.deliver(ping)).statusCode).toBe(202);
    expect(await handled(world, guid)).toMatchObject({ state: "ignored", reason: "a ping asks for nothing" });
    const id = await label(world, pull);
    await ended(world, id);
    published(world, pull, id);
  });
});

describe("a webhook that the service never got", () => {
  it.each([
    ["failed", 502],
    ["answered by a proxy with 202", 202],
  ])("and that GitHub logged as %s is fetched at the next start, once", async (_, loggedAs) => {
    const pull = await openPull(world, { name: `lost-${loggedAs}`, task: null });
    await world.github.deliveriesSettled();
    const before = (await world.control.list()).length;
    await world.service().stop();
    world.github.loseNextDeliveries({ loggedAs });
    await world.github.addLabel(pull, LABEL, { by: MAINTAINER });
    const lost = sent(world, "pull_request", "labeled");
    Object.assign(lost, { deliveredAt: lost.deliveredAt - SETTLED_MS });
    await world.restart();
    const id = await world.nextRun(before);
    expect(endingOf(await ended(world, id))).toMatchObject({ outcome: "refused", code: "task_missing" });
    published(world, pull, id);
    expect(await handled(world, lost.guid)).toMatchObject({ state: "started", run: id });
    const again = world.github.deliveries().filter(({ guid }) => guid === lost.guid);
    expect(again.map(({ redelivery }) => redelivery)).toEqual([false, true]);
  });
});

async function redisPid(): Promise<number> {
  const text = await readFile(`${world.stateDir}/redis/redis.pid`, "utf8");
  return Number(text.split(" ")[0]);
}
