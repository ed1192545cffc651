import type { Role, Store } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { assertTakesWrites, connectForCommands, waitUntilReady } from "../store/connection.ts";
import { createRecordStore } from "../store/records.ts";
import { startTestRedis, until } from "../store/test-redis.fixture.ts";
import { buildReadiness, type ReadinessChecks } from "./readiness.ts";

const well = { listLiveMachines: async () => [] } as unknown as Store;
const away = {
  listLiveMachines: async () => {
    throw new Error("away");
  },
} as unknown as Store;

const written = async (): Promise<void> => undefined;

async function ask(store: Store, roles: readonly Role[], checks: ReadinessChecks = {}, write = written) {
  const answer = await buildReadiness({ store, write, roles, checks }).inject("/readyz");
  return { status: answer.statusCode, body: answer.json<unknown>() };
}

const refuse = async (): Promise<never> => {
  throw new Error("nobody there");
};

describe("readiness", () => {
  it("says what the host is, and that it is well", async () => {
    expect(await ask(well, ["intake", "web"])).toEqual({
      status: 200,
      body: { ready: true, roles: ["intake", "web"], machines: 0 },
    });
  });

  it("is missing without the store, whatever the roles", async () => {
    expect(await ask(away, ["intake"])).toMatchObject({ status: 503, body: { ready: false, roles: ["intake"] } });
  });

  it("is missing where the store answers and takes no write, as one does that became a replica", async () => {
    const server = await startTestRedis();
    const operator = connectForCommands(server.address);
    try {
      await waitUntilReady(operator, 10_000);
      const store = createRecordStore({ redis: server.redis, prefix: "t:", keepFinishedMs: 60_000 });
      const write = () => assertTakesWrites(server.redis, "t:");
      expect(await ask(store, ["intake"], {}, write)).toMatchObject({ status: 200 });
      // Of nobody there.
      await operator.replicaof("127.0.0.1", 1);
      expect(await store.listLiveMachines()).toEqual([]);
      expect(await ask(store, ["intake"], {}, write)).toMatchObject({
        status: 503,
        body: { reason: "the store takes no write" },
      });
      await operator.replicaof("NO", "ONE");
      await until(async () => (await ask(store, ["intake"], {}, write)).status === 200);
    } finally {
      operator.disconnect();
      await server.end();
    }
  });

  it("names the role whose process does not answer, and asks for no other's", async () => {
    const checks = { broker: refuse, worker: async () => undefined };
    const all = await ask(well, ["worker", "broker"], checks);
    expect(all).toMatchObject({ status: 503, body: { reason: "not ready: broker" } });
    expect(await ask(well, ["worker"], checks)).toMatchObject({ status: 200 });
  });

  it("does not wait for one that never answers", async () => {
    const silent = () => new Promise(() => undefined);
    expect(await ask(well, ["worker"], { worker: silent })).toMatchObject({ status: 503 });
  });
});
