import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type PresentMachine, parseConfig } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createChannel } from "../../apps/agent/src/channel.ts";
import { enrol } from "../../apps/agent/src/enrol.ts";
import { type Broker, buildBroker } from "../../apps/orchestrator/src/broker/broker.ts";
import { loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { registerMachineLookup } from "../../apps/orchestrator/src/broker/enrolment/lookup-server.ts";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { listenOnSocket } from "../../apps/orchestrator/src/host/listen.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { overSocket } from "../../apps/orchestrator/src/host/socket-client.ts";
import { buildDispatchServer } from "../../apps/orchestrator/src/runs/dispatch-server.ts";
import { createStores } from "../../apps/orchestrator/src/store/stores.ts";
import {
  makeFolder,
  startTestRedis,
  type TestRedis,
  until,
} from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { bootingMachine } from "../attack/records.ts";
import { freePort } from "../support/free-port.ts";

const HERE = "127.0.0.11";
const HOST = "127.0.0.1";
const clock = { now: () => Date.now() };

let redis: TestRedis;
let folder: string;
let service: ReturnType<typeof buildDispatchServer>;
let broker: Broker;
let port: number;
const listed: PresentMachine[] = [];

/** What the broker asks of the service: no run, and who is at an address. */
async function startService(): Promise<void> {
  service = buildDispatchServer({ claim: async () => null });
  registerMachineLookup(service, { list: async () => listed, everyMs: 0 });
  await listenOnSocket(service, join(folder, "dispatch.sock"), "own uid");
}

/** The broker as it is put together for the real service, with a door. */
async function startBroker(): Promise<void> {
  const environment = { MAYFLY_STATE_DIR: folder, OPENAI_API_KEY: randomIds.secret("sk-test") };
  const parsed = parseConfig({ environment });
  if (!parsed.ok || parsed.config.model.issuer === null) {
    throw new Error(`the settings are refused: ${JSON.stringify(parsed)}`);
  }
  const { model, budgets } = parsed.config;
  broker = await buildBroker({
    sharedDir: folder,
    redis: redis.address,
    worker: overSocket(join(folder, "dispatch.sock")),
    channelFolder: (machine) => join(folder, machine),
    door: { host: HOST, port },
    model: { ...model, issuer: parsed.config.model.issuer },
    budgets,
    setupHosts: [],
    clock,
    ids: randomIds,
    log: createLog({ level: "silent" }).log,
  });
  await broker.start();
}

beforeEach(async () => {
  redis = await startTestRedis();
  folder = await makeFolder();
  await mkdir(join(folder, "broker"));
  await startService();
  port = await freePort();
  await startBroker();
});
afterEach(async () => {
  await broker.close();
  await service.close();
  await redis.end();
  listed.splice(0);
  await rm(folder, { recursive: true, force: true });
});

describe("the broker's door", () => {
  it("lets in the machine that the service's provider lists, and knows it again after a restart", async () => {
    const machine = bootingMachine(clock.now());
    const { id, launch, spec } = machine;
    await createStores({ redis: redis.redis, clock }).store.commit([{ kind: "machine", value: machine, version: 0 }]);
    listed.push({ id, launch, spec, running: true, address: HERE });
    const { pins } = await loadDoorKeys(join(folder, "broker", "door"), clock.now());
    const dial = { host: HOST, port, localAddress: HERE };
    const transport = await enrol({ brokers: [dial], pins });

    // Refused on the machine's own channel: so it is in, and has no attempt.
    const beat = { method: "POST", path: "/v1/heartbeat", token: "cap_none" } as const;
    await expect(createChannel(dial, transport).call(beat)).rejects.toThrow("CAPABILITY_INVALID");
    await broker.close();
    await startBroker();
    await expect(createChannel(dial, transport).call(beat)).rejects.toThrow("CAPABILITY_INVALID");
  });

  it("leaves a machine waiting while the service cannot be asked", async () => {
    await service.close();
    const mute = await listenAndHangUp(join(folder, "dispatch.sock"));
    const { pins } = await loadDoorKeys(join(folder, "broker", "door"), clock.now());
    const enrolling = enrol({ brokers: [{ host: HOST, port }], pins });
    const machine = bootingMachine(clock.now());
    const { id, launch, spec } = machine;
    await createStores({ redis: redis.redis, clock }).store.commit([{ kind: "machine", value: machine, version: 0 }]);
    listed.push({ id, launch, spec, running: true, address: HOST });
    // The second time that the broker asks, the machine has been told to wait and has asked again.
    await Promise.race([mute.called(2), enrolling]);
    await mute.close();
    await startService();
    await enrolling;
  });
});

/** Somebody in the service's place who answers nothing. */
async function listenAndHangUp(path: string) {
  let calls = 0;
  const server = createServer((socket) => {
    calls += 1;
    socket.destroy();
  }).listen(path);
  await once(server, "listening");
  return {
    called: (times: number) => until(() => calls >= times),
    async close() {
      server.close();
      await once(server, "close");
    },
  };
}
