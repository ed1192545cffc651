import { limits } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { say, stall } from "../fakes/model/script.ts";
import { type Call, PACK } from "./broker-bench.ts";
import {
  answersTo,
  beginAttempt,
  everyCall,
  gate,
  modelCall,
  resultOf,
  taken,
  scene,
  useBroker,
} from "./channel-scene.ts";

useBroker();

describe("a capability and a key", () => {
  it("are good on their own machine's channel, which is what the refusals below are measured against", async () => {
    const attempt = await beginAttempt();
    const { channel, capability } = attempt;
    for (const call of everyCall(attempt)) {
      if (call.path !== "/v1/key") {
        await taken(channel.call(call));
      }
    }
    expect((await channel.call({ method: "GET", path: "/v1/source", token: capability })).text).toBe(PACK);
    expect(scene.broker.model.requests).toHaveLength(1);
    expect(scene.broker.model.violations).toEqual([]);
  });

  it("are worth nothing on another machine's channel, claimed or not", async () => {
    const mine = await beginAttempt();
    const theirs = await beginAttempt();
    const idle = await scene.broker.addMachine();
    const stolen: Call[] = [
      ...everyCall(mine),
      { path: "/v1/heartbeat", token: mine.capability },
      { path: "/v1/freeze", token: mine.capability },
      { path: "/v1/result", token: mine.capability, body: resultOf(1) },
    ];
    for (const socket of [theirs.channel.socket, idle.socket]) {
      for (const answer of await answersTo(socket, stolen)) {
        expect(answer).toMatch(/ 401 (CAPABILITY|KEY)_INVALID$/);
      }
    }
    expect(scene.broker.model.requests).toHaveLength(0);
    expect(await scene.broker.run(mine.run)).toMatchObject({ phase: "running", attempt: { frozenAt: null } });
    expect(await scene.broker.run(theirs.run)).toMatchObject({ phase: "running", attempt: { frozenAt: null } });
  });

  it("are not each other, and nothing near them passes", async () => {
    const attempt = await beginAttempt();
    const { channel, capability, key } = attempt;
    expect((await channel.call({ path: "/v1/responses", token: capability, body: modelCall })).code).toBe(
      "KEY_INVALID",
    );
    expect((await channel.call({ path: "/v1/key", token: key })).code).toBe("CAPABILITY_INVALID");
    const near = [
      {},
      { authorization: "" },
      { authorization: "Bearer" },
      { authorization: "Bearer " },
      { authorization: capability },
      { authorization: `Basic ${capability}` },
      { authorization: `Bearer ${capability} x` },
      { authorization: `Bearer ${capability.slice(0, -1)}` },
      { authorization: `Bearer ${capability}x` },
      { authorization: `Bearer ${capability.toUpperCase()}` },
      { authorization: `Bearer ${"x".repeat(4_000)}` },
    ];
    for (const headers of near) {
      const answer = await channel.call({ path: "/v1/key", headers });
      expect([headers, answer.code]).toEqual([headers, "CAPABILITY_INVALID"]);
    }
  });

  it("die at freeze, and what is left is one result and to be told to stop", async () => {
    const attempt = await beginAttempt();
    const { channel, capability, assignment } = attempt;
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    for (const answer of await answersTo(channel.socket, everyCall(attempt))) {
      expect(answer).toMatch(/ 410 ENDED$/);
    }
    expect(scene.broker.model.requests).toHaveLength(0);
    const posted = await channel.call({ path: "/v1/result", token: capability, body: resultOf(assignment.epoch) });
    expect(posted.status).toBe(200);
    for (const answer of await answersTo(channel.socket, everyCall(attempt))) {
      expect(answer).toMatch(/ 410 ENDED$/);
    }
  });

  it("die when a person cancels, and no result is taken then", async () => {
    const attempt = await beginAttempt();
    const { channel, capability, run } = attempt;
    await scene.broker.records.applyToRun(run, {
      type: "end",
      ending: { outcome: "cancelled", code: "operator", detail: "an operator cancelled it" },
    });
    const result: Call = { path: "/v1/result", token: capability, body: resultOf(1) };
    for (const answer of await answersTo(channel.socket, [...everyCall(attempt), result])) {
      expect(answer).toMatch(/ 410 ENDED$/);
    }
    expect((await taken(channel.call({ path: "/v1/heartbeat", token: capability }))).body).toEqual({
      stop: "cancelled",
    });
    expect(await scene.broker.results.getResult(run, 1)).toBeNull();
  });

  it("die at the deadline by the broker's own clock, though nobody has written it down", async () => {
    const attempt = await beginAttempt();
    for (let passed = 0; passed < attempt.assignment.seconds * 1_000 + 30_000; passed += limits.heartbeatMs) {
      scene.broker.pass(limits.heartbeatMs);
      await scene.broker.records.applyToMachine(attempt.channel.machine, { type: "heard" });
    }
    for (const answer of await answersTo(attempt.channel.socket, everyCall(attempt))) {
      expect(answer).toMatch(/ 410 ENDED$/);
    }
    expect((await scene.broker.run(attempt.run)).phase).toBe("running");
  });

  it("die with the lease of a machine that fell silent, though nobody has written it down", async () => {
    const attempt = await beginAttempt();
    scene.broker.pass(limits.heartbeatLossMs);
    for (const answer of await answersTo(attempt.channel.socket, everyCall(attempt))) {
      expect(answer).toMatch(/ (410 ENDED|401 KEY_INVALID)$/);
    }
    expect((await scene.broker.machine(attempt.channel.machine)).phase).toBe("claimed");
  });

  it("live no longer than they are renewed: a key of ten minutes ago is refused", async () => {
    const { channel, capability, key } = await beginAttempt();
    for (let passed = 0; passed < limits.keyMs; passed += limits.heartbeatMs) {
      scene.broker.pass(limits.heartbeatMs);
      await scene.broker.records.applyToMachine(channel.machine, { type: "heard" });
    }
    expect((await channel.call({ path: "/v1/responses", token: key, body: modelCall })).code).toBe("KEY_INVALID");
    const renewed = (await taken(channel.call({ path: "/v1/key", token: capability }))).body as { key: string };
    await taken(channel.call({ path: "/v1/responses", token: renewed.key, body: modelCall }));
    expect((await channel.call({ path: "/v1/responses", token: key, body: modelCall })).code).toBe("KEY_INVALID");
  });

  it("end a model call that is under way when the lease ends, though nobody says so", async () => {
    scene.script = [stall({ afterEvents: 2 }), say("never")];
    const { channel, key } = await beginAttempt();
    const call = channel.call({ path: "/v1/responses", token: key, body: modelCall }).catch(() => "cut");
    await scene.broker.model.whenRequested(1);
    await scene.broker.look();
    expect(scene.broker.model.requests[0]?.isAborted).toBe(false);
    scene.broker.pass(limits.heartbeatLossMs);
    await scene.broker.look();
    const ended = await call;
    expect(typeof ended === "string" ? ended : ended.text).not.toContain("response.completed");
    await expect.poll(() => scene.broker.model.requests[0]?.isAborted).toBe(true);
  });

  it("end a model call that is under way at freeze", async () => {
    scene.script = [stall({ afterEvents: 2 }), say("never")];
    const { channel, capability, key } = await beginAttempt();
    const call = channel.call({ path: "/v1/responses", token: key, body: modelCall }).catch(() => "cut");
    await scene.broker.model.whenRequested(1);
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    const ended = await call;
    expect(typeof ended === "string" ? ended : ended.text).not.toContain("response.completed");
    await expect.poll(() => scene.broker.model.requests[0]?.isAborted).toBe(true);
  });
});

describe("the key", () => {
  it("is not lent before the gate, nor after a gate that failed or belongs to another strategy", async () => {
    await scene.broker.addRun();
    const channel = await scene.broker.addMachine();
    const { capability } = await channel.claim();
    const borrow: Call = { path: "/v1/key", token: capability };
    expect((await channel.call(borrow)).code).toBe("GATE_FAILED");
    for (const body of [gate(false), gate(true, "unsafe"), gate(true, "read-only")]) {
      expect((await channel.call({ path: "/v1/gate", token: capability, body })).code).toBe("GATE_FAILED");
      expect((await channel.call(borrow)).code).toBe("GATE_FAILED");
    }
    const none = { safety_strategy: "unprivileged-user", checks: [] };
    expect((await channel.call({ path: "/v1/gate", token: capability, body: none })).code).toBe("BODY_INVALID");
    expect((await channel.call(borrow)).code).toBe("GATE_FAILED");
    expect((await channel.call({ path: "/v1/responses", token: capability, body: modelCall })).code).toBe(
      "KEY_INVALID",
    );
  });
});
