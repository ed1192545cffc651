import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type IssuerConfig, limits, type RunId, Secret } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { randomIds } from "../host/ids.ts";
import { createLog } from "../host/log.ts";
import { overSocket } from "../host/socket-client.ts";
import { makeFolder, startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { type Broker, buildBroker } from "./broker.ts";
import { noBudgets } from "./model-gateway.fixture.ts";

const run = "run_0123456789abcdefghjk" as RunId;
const key = "sk-operator-0123456789abcdef";
const issuers: IssuerConfig[] = [
  { kind: "static", key: new Secret(key) },
  { kind: "compatible", key: new Secret(key), header: "api-key", prefix: "" },
  {
    kind: "openai-service-account",
    adminKey: new Secret(key),
    adminUrl: "http://127.0.0.1:9/v1",
    project: "proj_1",
    serviceAccount: "svc_1",
    scopes: ["api.responses.write"],
    keySeconds: 3_600,
  },
];

let redis: TestRedis;
let folder: string;
let broker: Broker | null = null;

beforeAll(async () => {
  redis = await startTestRedis();
  folder = await makeFolder();
});

afterEach(() => stop());

afterAll(async () => {
  await redis.end();
  await rm(folder, { recursive: true, force: true });
});

async function start(issuer: IssuerConfig): Promise<void> {
  broker = await buildBroker({
    sharedDir: folder,
    redis: redis.address,
    worker: overSocket(join(folder, "dispatch.sock")),
    channelFolder: (machine) => join(folder, machine),
    model: {
      url: "http://127.0.0.1:9/v1",
      default: "gpt-test",
      outputTokensMax: limits.modelOutputTokensMax,
      prices: { asOf: null, rows: [] },
      issuer,
    },
    budgets: noBudgets,
    clock: { now: () => Date.now() },
    ids: randomIds,
    log: createLog({ level: "silent" }).log,
  });
}

async function stop(): Promise<void> {
  await broker?.close();
  broker = null;
}

async function find(payload: { texts: string[]; run?: RunId }): Promise<unknown> {
  return (await broker?.control.inject({ method: "POST", url: "/find-secrets", payload }))?.json();
}

describe.each(issuers)("the operator's own credential ($kind)", (issuer) => {
  it("is looked for before any call was made with it, and by a broker that has just been started again", async () => {
    const texts = ["harmless", `it is ${Array.from(key).toReversed().join("")}`];
    const found = { found: [{ kind: "known value", form: "reversed" }] };
    for (let starts = 0; starts < 2; starts++) {
      await start(issuer);
      expect(await find({ texts })).toEqual(found);
      expect(await find({ texts, run })).toEqual(found);
      await stop();
    }
  });
});
