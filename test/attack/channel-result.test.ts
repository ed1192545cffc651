import { limits } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { beginAttempt, resultOf, taken, scene, useBroker } from "./channel-scene.ts";

useBroker();

describe("the result", () => {
  it("is taken once: what comes later under the same epoch changes nothing", async () => {
    const { channel, capability, run } = await beginAttempt();
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    await taken(channel.call({ path: "/v1/result", token: capability, body: resultOf(1, "first") }));
    const after = await scene.broker.run(run);
    await taken(channel.call({ path: "/v1/result", token: capability, body: resultOf(1, "first") }));
    await channel.call({ path: "/v1/result", token: capability, body: resultOf(1, "second") });
    expect(await scene.broker.run(run)).toEqual(after);
    expect(await scene.broker.results.getResult(run, 1)).toMatchObject({
      result: { final_message: { text: "first" } },
    });
  });

  it("that was kept before a crash is the one the run ends with, whatever is sent after it", async () => {
    const { channel, capability, run } = await beginAttempt();
    const failure = { kind: "failure", epoch: 1, failure: { step: "codex", message: "kept" } } as const;
    await scene.broker.results.putResult(run, 1, failure);
    await taken(channel.call({ path: "/v1/result", token: capability, body: resultOf(1, "other") }));
    expect(await scene.broker.run(run)).toMatchObject({ phase: "destroying", ending: { outcome: "failed" } });
  });

  it("of another epoch is refused", async () => {
    const { channel, capability, run } = await beginAttempt();
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    for (const epoch of [2, 999]) {
      expect((await channel.call({ path: "/v1/result", token: capability, body: resultOf(epoch) })).code).toBe(
        "RESULT_TAKEN",
      );
    }
    expect((await scene.broker.run(run)).phase).toBe("running");
    expect(await scene.broker.results.getResult(run, 2)).toBeNull();
  });

  it("that comes too late after freeze is no longer taken", async () => {
    const { channel, capability, run } = await beginAttempt();
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    scene.broker.pass(limits.resultMs);
    await channel.call({ path: "/v1/result", token: capability, body: resultOf(1) });
    const ended = await scene.broker.run(run);
    expect("ending" in ended ? ended.ending.outcome : "none").not.toBe("succeeded");
  });
});
