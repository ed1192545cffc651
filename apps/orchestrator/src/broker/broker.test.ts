import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { decideMachine, type IssuerConfig, limits, type Machine, type RunId, Secret, type Store } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { readyMachine } from "../../../../test/attack/records.ts";
import { randomIds } from "../host/ids.ts";
import { createLog } from "../host/log.ts";
import { overSocket } from "../host/socket-client.ts";
import { createStores } from "../store/stores.ts";
import { makeFolder, startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { type Broker, type BrokerDeps, buildBroker } from "./broker.ts";
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

async function start(issuer: IssuerConfig, more: Partial<BrokerDeps> = {}): Promise<void> {
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
    setupHosts: [],
    clock: { now: () => Date.now() },
    ids: randomIds,
    log: createLog({ level: "silent" }).log,
    ...more,
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

describe("a channel that this broker was not told to close", () => {
  const NOW = Date.now();
  const clients: Socket[] = [];

  afterEach(() => {
    clients.splice(0).forEach((client) => client.destroy());
  });

  /** A machine that is at work, its channel, and a connection over it. */
  async function connectMachine(store: Store): Promise<{ machine: Machine; version: number; socket: Socket }> {
    const machine = readyMachine(NOW);
    await store.commit([{ kind: "machine", value: machine, version: 0 }]);
    await mkdir(join(folder, machine.id));
    await broker?.control.inject({ method: "POST", url: `/channels/${machine.id}/open` });
    const socket = connect(join(folder, machine.id, "broker.sock"));
    clients.push(socket);
    await once(socket, "connect");
    return { machine, version: 1, socket };
  }

  it("is closed by its sweep once the machine is to be destroyed, and a live machine's is not", async () => {
    const store = createStores({ redis: redis.redis, clock: { now: () => NOW } }).store;
    await start(issuers[0] as IssuerConfig, { sweepMs: 50 });
    await broker?.start();
    const live = await connectMachine(store);
    const doomed = await connectMachine(store);
    const ended = once(doomed.socket, "close");
    const { machine: destroying } = decideMachine(doomed.machine, { type: "destroy", why: "deadline" }, NOW);
    expect(destroying.phase).toBe("destroying");
    await store.commit([{ kind: "machine", value: destroying, version: doomed.version }]);
    await ended;
    const again = connect(join(folder, doomed.machine.id, "broker.sock"));
    clients.push(again);
    await expect(once(again, "connect")).rejects.toThrow();
    expect([live.socket.destroyed, live.socket.readableEnded]).toEqual([false, false]);
  });
});
