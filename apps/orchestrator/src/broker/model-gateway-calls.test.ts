import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { limits, Secret } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { until } from "../store/test-redis.fixture.ts";
import type { Issuer } from "./issuers/issuer.ts";
import { finalAmounts, operatorKey } from "./model-gateway.fixture.ts";
import { answers, codeIn, fails, opens, spent, useGateway } from "./model-gateway-suite.fixture.ts";

const { start, world } = useGateway();

describe("the credential of a model call", () => {
  /** One that gives a new key each time, each good for so long. */
  function issuerOf(
    clock: { now(): number },
    lifeMs: number,
    revoked: string[] = [],
  ): Issuer & { readonly issued: string[] } {
    const issued: string[] = [];
    return {
      makesAnother: true,
      issued,
      async issue() {
        const key = `sk-issued-${issued.length + 1}`;
        issued.push(key);
        return {
          secret: new Secret(key),
          headers: () => ({ authorization: `Bearer ${key}` }),
          expiresAt: clock.now() + lifeMs,
          revoke: async () => void revoked.push(key),
        };
      },
      sweep: async () => 0,
    };
  }

  it("is one for the whole attempt", async () => {
    const { ask, asked } = await start(answers(), { issuer: (clock) => issuerOf(clock, 3_600_000) });
    await ask();
    await ask();
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(["Bearer sk-issued-1", "Bearer sk-issued-1"]);
  });

  it("is renewed once when the model refuses one that has expired meanwhile, and the caller notices nothing", async () => {
    const { ask, asked } = await start(
      (incoming, outgoing) => {
        const isOld = incoming.headers.authorization === "Bearer sk-issued-1";
        if (isOld) {
          world().pass(60_000);
        }
        (isOld ? fails(401, {}, { error: { code: "invalid_api_key" } }) : answers())(incoming, outgoing);
      },
      { issuer: (clock) => issuerOf(clock, 60_000) },
    );
    expect(await ask()).toMatchObject({ status: 200, isWhole: true });
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(["Bearer sk-issued-1", "Bearer sk-issued-2"]);
    expect(await spent(world())).toEqual(finalAmounts);
  });

  it("is renewed once for the attempt when the model refuses one that should be good", async () => {
    const { ask, asked } = await start(
      (incoming, outgoing) => {
        const isRefused = asked.length === 1 || asked.length > 3;
        (isRefused ? fails(401, {}, { error: { code: "invalid_api_key" } }) : answers())(incoming, outgoing);
      },
      { issuer: (clock) => issuerOf(clock, 3_600_000) },
    );
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(401);
    const shown = asked.map(({ headers }) => headers.authorization?.at(-1));
    expect(shown).toEqual(["1", "2", "2", "2"]);
  });

  it("is revoked at once when the model refuses it and took another", async () => {
    const revoked: string[] = [];
    const { ask } = await start(
      (incoming, outgoing) => {
        const isFirst = incoming.headers.authorization === "Bearer sk-issued-1";
        (isFirst ? fails(401, {}, {}) : answers())(incoming, outgoing);
      },
      { issuer: (clock) => issuerOf(clock, 3_600_000, revoked) },
    );
    expect((await ask()).status).toBe(200);
    expect(revoked).toEqual(["sk-issued-1"]);
  });

  it("is not tried again when the model refuses it and there is no other", async () => {
    const { ask, asked } = await start(fails(401, {}, { error: { message: operatorKey } }));
    expect((await ask()).status).toBe(401);
    expect(asked).toHaveLength(1);
  });
});

describe("model calls at once", () => {
  it("are bounded; one too many is told to wait", async () => {
    const { model } = opens();
    const { send, ask, asked } = await start(model);
    const under = Array.from({ length: limits.modelConcurrencyMax }, () => send());
    under.forEach((one) => one.on("error", () => undefined));
    await Promise.all(under.map((one) => once(one, "response")));
    const refused = await ask();
    expect(codeIn(refused)).toBe("BUSY");
    expect(refused.headers["retry-after"]).toBe("1");
    expect(asked).toHaveLength(limits.modelConcurrencyMax);
    under[0]?.destroy();
    await until(async () => {
      const next = send();
      next.on("error", () => undefined);
      const [answer] = (await once(next, "response")) as [IncomingMessage];
      const { statusCode } = answer;
      next.destroy();
      return statusCode === 200;
    });
    under.forEach((one) => one.destroy());
  });

  it("are read only for a key that is good, so that nobody else's bodies fill the memory", async () => {
    const { send } = await start();
    const outgoing = send("x", { authorization: "Bearer other", "content-length": "16000000" });
    outgoing.on("error", () => undefined);
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    expect(answer.statusCode).toBe(401);
    outgoing.destroy();
  });

  it("are closed to a machine that goes on after many refusals, without being read", async () => {
    const { ask, asked } = await start();
    let answer = await ask("{");
    let count = 1;
    for (; codeIn(answer) === "BODY_NOT_JSON" && count < 100; count++) {
      answer = await ask("{");
    }
    expect(codeIn(answer)).toBe("CALLS_CLOSED");
    expect(count).toBeGreaterThan(10);
    expect(codeIn(await ask())).toBe("CALLS_CLOSED");
    expect(asked).toHaveLength(0);
  });
});
