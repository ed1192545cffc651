import { describe, expect, it } from "vitest";
import { hello } from "./broker-bench.ts";
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
