import type { Role, Store } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { buildReadiness, type ReadinessChecks } from "./readiness.ts";

const well = { listLiveMachines: async () => [] } as unknown as Store;
const away = {
  listLiveMachines: async () => {
    throw new Error("away");
  },
} as unknown as Store;

async function ask(store: Store, roles: readonly Role[], checks: ReadinessChecks = {}) {
  const answer = await buildReadiness({ store, roles, checks }).inject("/readyz");
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
