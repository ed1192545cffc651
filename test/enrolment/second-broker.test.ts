import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createChannel } from "../../apps/agent/src/channel.ts";
import { claimAttempt } from "../../apps/agent/src/claim.ts";
import { enrol } from "../../apps/agent/src/enrol.ts";
import { loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { type DoorBench, openDoor } from "./door-bench.ts";

const HERE = "127.0.0.13";
const hello = { protocol: 1, agent: "test", codex: "0.169.0" };

let redis: TestRedis;
let bench: DoorBench;
let servers: Server[];
let sockets: Set<Socket>;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.end());
beforeEach(async () => {
  servers = [];
  sockets = new Set();
  bench = await openDoor(redis);
});
afterEach(async () => {
  sockets.forEach((socket) => socket.destroy());
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  await bench.close();
});

/** Another address where a broker might be. */
async function serve(server: Server): Promise<{ host: string; port: number; connections: () => number }> {
  let count = 0;
  server.on("connection", (socket: Socket) => {
    count++;
    sockets.add(socket);
    socket.on("error", () => undefined);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { host: "127.0.0.1", port, connections: () => count };
}

/** A server that has this key. */
async function impostor(): Promise<Awaited<ReturnType<typeof serve>>> {
  const keys = await loadDoorKeys(`${bench.folder}/impostor`, Date.now());
  const { key, certificate: cert } = keys.server;
  return serve(createTlsServer({ key, cert, minVersion: "TLSv1.3" }));
}

describe("a machine whose image names two addresses of the broker", () => {
  it("enrols at the second when the first closes the connection, and stays there", async () => {
    const id = await bench.addMachine(HERE);
    await bench.addRun();
    const first = await serve(createServer((socket) => socket.destroy()));
    const brokers = [first, bench.dialFrom(HERE)] as const;
    const transport = await enrol({ brokers, pins: bench.keys.pins });
    expect(await bench.machine(id)).toMatchObject({ enrolled: { address: HERE } });
    await claimAttempt(createChannel(brokers[0], transport), hello);
    // Once for the enrolment, and once for the way that is taken from then on, which finds out for itself.
    expect(first.connections()).toBe(2);
    await createChannel(brokers[0], transport)
      .call({ method: "POST", path: "/v1/key", token: "none", patienceMs: 0 })
      .catch(() => undefined);
    expect(first.connections()).toBe(2);
  });

  it("enrols at the second when the first says nothing", async () => {
    const id = await bench.addMachine(HERE);
    const first = await serve(createServer());
    await enrol({ brokers: [first, bench.dialFrom(HERE)], pins: bench.keys.pins });
    expect(first.connections()).toBe(1);
    expect(await bench.machine(id)).toMatchObject({ enrolled: { address: HERE } });
  });

  it("gives up for good when the first has another key, and never asks the second", async () => {
    const id = await bench.addMachine(HERE);
    const first = await impostor();
    const enrolling = enrol({ brokers: [first, bench.dialFrom(HERE)], pins: bench.keys.pins });
    await expect(enrolling).rejects.toMatchObject({ kind: "refused" });
    expect(await bench.machine(id)).toMatchObject({ enrolled: null });
  });

  it("gives up for good when the second has another key and the first is away", async () => {
    const first = await serve(createServer((socket) => socket.destroy()));
    const second = await impostor();
    const enrolling = enrol({ brokers: [first, second], pins: bench.keys.pins });
    await expect(enrolling).rejects.toMatchObject({ kind: "refused" });
    expect(second.connections()).toBe(1);
  });
});
