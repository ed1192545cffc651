import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { type Channel, CLAIM_MS, hello, open } from "./broker-bench.ts";
import { answersTo, beginAttempt, everyCall, scene, useBroker } from "./channel-scene.ts";

useBroker();

describe("a second claim", () => {
  it("gives nothing, destroys the machine, and takes what it had", async () => {
    const attempt = await beginAttempt();
    const other = await scene.broker.addRun();
    const answer = await attempt.channel.call({ path: "/v1/claim", body: hello });
    expect(answer.code).toBe("CLAIMED_BEFORE");
    expect(answer.text).not.toContain(attempt.capability);
    expect(await scene.broker.machine(attempt.channel.machine)).toMatchObject({
      phase: "destroying",
      why: "claimed_twice",
    });
    expect((await scene.broker.run(other)).phase).toBe("queued");
    for (const refused of await answersTo(attempt.channel.socket, everyCall(attempt))) {
      expect(refused).toMatch(/ (410 ENDED|401 KEY_INVALID)$/);
    }
  });

  it("made at the same time as the first gets one attempt for both", async () => {
    await scene.broker.addRun();
    await scene.broker.addRun();
    const channel = await scene.broker.addMachine();
    const claims = await Promise.all([1, 2, 3, 4].map(() => channel.call({ path: "/v1/claim", body: hello })));
    expect(claims.filter(({ status }) => status === 200)).toHaveLength(1);
    const runs = await scene.broker.store.listLiveRuns();
    expect(runs.filter(({ phase }) => phase === "running")).toHaveLength(1);
  });
});

describe("a claim that finds nothing", () => {
  const claim = { path: "/v1/claim", body: hello };

  it("takes its time before it says so", async () => {
    const channel = await scene.broker.addMachine();
    const before = performance.now();
    const { status } = await channel.call(claim);
    expect(status).toBe(204);
    expect(performance.now() - before).toBeGreaterThan(CLAIM_MS * 0.7);
  });

  it("is given the run that comes meanwhile", async () => {
    const channel = await scene.broker.addMachine();
    const answer = channel.call(claim);
    await ready(channel);
    const run = await scene.broker.addRun();
    expect(await answer).toMatchObject({ status: 200, body: { run, epoch: 1 } });
  });

  it("is over when the machine asks anew, and the run is the newest question's", async () => {
    const channel = await scene.broker.addMachine();
    const old = channel.call(claim);
    await ready(channel);
    const answer = channel.call(claim);
    expect((await old).status).toBe(204);
    const run = await scene.broker.addRun();
    expect(await answer).toMatchObject({ status: 200, body: { run, epoch: 1 } });
  });

  it("does not hold up the end of its channel", async () => {
    const channel = await scene.broker.addMachine();
    const answer = channel.call(claim).catch(() => "broken");
    await ready(channel);
    const before = performance.now();
    await scene.broker.close();
    expect(performance.now() - before).toBeLessThan(CLAIM_MS * 0.7);
    expect(await answer).toBe("broken");
  });
});

describe("an attempt that nobody heard of", () => {
  it.each(["before it is given out", "only after it was"])(
    "is the machine's still: its connection broke, and it asks again %s",
    async (when) => {
      const run = await scene.broker.addRun();
      scene.broker.pass(1);
      const other = await scene.broker.addRun();
      const channel = await scene.broker.addMachine();
      const { held, letGo } = scene.broker.holdClaim();
      const broken = await ask(channel);
      await held;
      broken.destroy();
      // An answer over another connection: the broker has seen by then that the first one is gone.
      await channel.call({ method: "GET", path: "/nothing" });
      const early = when === "before it is given out" ? channel.call({ path: "/v1/claim", body: hello }) : null;
      letGo();
      await expect.poll(async () => (await scene.broker.machine(channel.machine)).phase).toBe("claimed");
      const answer = await (early ?? channel.call({ path: "/v1/claim", body: hello }));
      expect(answer).toMatchObject({ status: 200, body: { run, epoch: 1 } });
      expect(await scene.broker.machine(channel.machine)).toMatchObject({ phase: "claimed", claim: { run, epoch: 1 } });
      expect((await scene.broker.run(other)).phase).toBe("queued");
      const { capability } = answer.body as { capability: string };
      expect((await channel.call({ path: "/v1/heartbeat", token: capability })).status).toBe(200);
      // It has been heard now, so that the next question is one too many.
      expect((await channel.call({ path: "/v1/claim", body: hello })).code).toBe("CLAIMED_BEFORE");
    },
  );

  it("is not given again once the machine has lost it", async () => {
    await scene.broker.addRun();
    const channel = await scene.broker.addMachine();
    const { held, letGo } = scene.broker.holdClaim();
    const broken = await ask(channel);
    await held;
    broken.destroy();
    await channel.call({ method: "GET", path: "/nothing" });
    letGo();
    await expect.poll(async () => (await scene.broker.machine(channel.machine)).phase).toBe("claimed");
    await scene.broker.records.applyToMachine(channel.machine, { type: "destroy", why: "attempt_ended" });
    const answer = await channel.call({ path: "/v1/claim", body: hello });
    expect(answer.code).toBe("CLAIMED_BEFORE");
    expect(answer.text).not.toContain("mfc");
  });
});

/** Asks for an attempt over a connection that can be broken. */
async function ask({ socket }: Channel): Promise<Socket> {
  const connection = await open(socket);
  const body = JSON.stringify(hello);
  const head = "POST /v1/claim HTTP/1.1\r\nhost: broker\r\ncontent-type: application/json\r\n";
  connection.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
  return connection;
}

/** Resolves once the machine's question is there. */
async function ready({ machine }: Channel): Promise<void> {
  await expect.poll(async () => (await scene.broker.machine(machine)).phase).toBe("ready");
}
