import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttps, type Server as HttpsServer } from "node:https";
import { type AddressInfo, connect as dial, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { limits, type Run, type RunId, type SetupHost } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createSetupProxy, type SetupProxy } from "../../apps/agent/src/setup-proxy.ts";
import { loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { say } from "../fakes/model/script.ts";
import { type BrokerBench, type Channel, open, startBroker } from "./broker-bench.ts";
import { gate } from "./channel-scene.ts";

const HOST = "packages.example.com";
const NAMED = "named.example.com";
const BIG = "x".repeat(300_000);
const PEOPLE_WAIT_MS = 20_000;

let redis: TestRedis;
let folder: string;
/** A server out there that speaks TLS, and how many came to it. */
let outside: HttpsServer;
let reached = 0;
let bench: BrokerBench;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  redis = await startTestRedis();
  folder = await mkdtemp(join(tmpdir(), "mayfly-setup-net-"));
  const { server } = await loadDoorKeys(folder, Date.now());
  outside = createHttps({ key: server.key, cert: server.certificate }, (incoming, outgoing) => {
    let size = 0;
    incoming.on("data", (chunk: Buffer) => void (size += chunk.length));
    incoming.on("end", () => outgoing.end(incoming.url === "/big" ? BIG : `got ${size}`));
  });
  outside.on("connection", () => void (reached += 1));
  outside.listen(0, "127.0.0.1");
  await once(outside, "listening");
});

afterAll(async () => {
  outside.closeAllConnections();
  outside.close();
  await redis.end();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  reached = 0;
  const { port } = outside.address() as AddressInfo;
  const setupHosts: SetupHost[] = [HOST, NAMED].map((host) => ({ host, at: { address: "127.0.0.1", port } }));
  bench = await startBroker(redis, () => [say("Fine.")], { setupHosts });
});

afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((clean) => clean()));
  await bench.close();
});

interface Scene {
  readonly id: RunId;
  readonly channel: Channel;
  readonly capability: string;
  readonly proxy: SetupProxy;
  /** Where set-up commands find the agent's proxy. */
  readonly port: number;
}

/** A machine in the middle of its set-up: the agent's own proxy, its channel, the real broker. */
async function settingUp(network: readonly string[] = [HOST]): Promise<Scene> {
  const id = await bench.addRun({ setup: ["true"], ...(network.length === 0 ? {} : { network }) });
  const channel = await bench.addMachine();
  const { capability } = await channel.claim();
  // The machine's link to its channel, as its forwarder makes it.
  const link = await listening(
    createServer((socket) => {
      const on = dial(channel.socket);
      socket.on("error", () => on.destroy());
      on.on("error", () => socket.destroy());
      socket.once("close", () => on.destroy());
      on.once("close", () => socket.destroy());
      socket.pipe(on).pipe(socket);
    }),
  );
  const listener = await listening(createServer());
  const { port } = listener.address() as AddressInfo;
  const broker = { host: "127.0.0.1", port: (link.address() as AddressInfo).port };
  const proxy = createSetupProxy({ listener, broker, capability });
  cleanups.push(async () => {
    await proxy.close();
    link.close();
  });
  return { id, channel, capability, proxy, port };
}

async function listening(server: Server): Promise<Server> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** What a tool of a set-up does: CONNECT to the proxy, TLS to the host, one request. Rejects with the proxy's refusal. */
async function fetchThrough(
  { port }: Pick<Scene, "port">,
  asked: { host?: string; target?: string; servername?: string; body?: string; path?: string } = {},
): Promise<string> {
  const { host = HOST, target = `${host}:443`, servername = host, body = "", path = "/" } = asked;
  const socket = dial({ host: "127.0.0.1", port });
  cleanups.push(async () => socket.destroy());
  socket.setTimeout(PEOPLE_WAIT_MS, () => socket.destroy(new Error("no answer")));
  socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  if (!answer.toString().startsWith("HTTP/1.1 200 ")) {
    throw new Error(answer.toString().split("\r\n")[0]);
  }
  const tls = connectTls({ socket, servername, rejectUnauthorized: false });
  await once(tls, "secureConnect");
  tls.write(
    `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  let said = "";
  for await (const chunk of tls as AsyncIterable<Buffer>) {
    said += chunk.toString("latin1");
  }
  return said;
}

/** Once the ends of so many connections are written down. */
async function ended(id: RunId, count: number): Promise<NonNullable<Run["setupConnections"]>> {
  for (const from = Date.now(); ;) {
    const all = (await bench.run(id)).setupConnections ?? [];
    if (all.filter(({ end }) => end !== null).length >= count) {
      return all;
    }
    if (Date.now() - from > PEOPLE_WAIT_MS) {
      throw new Error(`not ended: ${JSON.stringify(all)}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a set-up that names hosts", () => {
  it("reaches them with TLS of its own, and what went both ways is written down", async () => {
    const scene = await settingUp();
    expect(await fetchThrough(scene, { body: "a question" })).toContain("got 10");
    expect(await fetchThrough(scene, { path: "/big" })).toContain(BIG);
    const all = await ended(scene.id, 2);
    expect(all).toMatchObject([
      { host: HOST, epoch: 1, end: { why: "closed" } },
      { host: HOST, epoch: 1, end: { why: "closed" } },
    ]);
    expect(all[1]?.end?.receivedBytes).toBeGreaterThan(BIG.length);
    expect(all[1]?.end?.sentBytes).toBeLessThan(10_000);
  });

  it("reaches no other host, port or protocol, and is told why", async () => {
    const scene = await settingUp();
    const refusals = [
      { target: "elsewhere.example.com:443" },
      { target: `${NAMED}:443` },
      { target: `${HOST}:80` },
      { target: `${HOST}` },
      { target: "127.0.0.1:443" },
      { target: `${HOST}.:443` },
      { target: `x@${HOST}:443` },
    ];
    for (const one of refusals) {
      await expect(fetchThrough(scene, one)).rejects.toThrow(
        /^HTTP\/1\.1 403 (the task's `network` does not|only CONNECT)/,
      );
    }
    expect([reached, (await bench.run(scene.id)).setupConnections]).toEqual([0, undefined]);
    expect(await (await fetch(`http://127.0.0.1:${scene.port}/`)).text()).toContain(
      "only connections with TLS pass here",
    );
  });

  it.each([
    ["another name in its TLS", { servername: NAMED }],
    ["no name in its TLS", { servername: "" }],
  ])("with %s reaches nobody", async (_name, asked) => {
    const scene = await settingUp();
    await expect(fetchThrough(scene, asked)).rejects.toThrow();
    expect(await ended(scene.id, 1)).toMatchObject([{ end: { why: "not_tls", sentBytes: 0, receivedBytes: 0 } }]);
    expect(reached).toBe(0);
  });

  it("that sends something other than TLS reaches nobody", async () => {
    const scene = await settingUp();
    const socket = await open(scene.channel.socket);
    socket.write(
      `CONNECT ${HOST}:443 HTTP/1.1\r\nauthorization: Bearer ${scene.capability}\r\n\r\nGET / HTTP/1.1\r\n\r\n`,
    );
    socket.resume();
    await once(socket, "close");
    expect(await ended(scene.id, 1)).toMatchObject([{ end: { why: "not_tls", sentBytes: 0 } }]);
    expect(reached).toBe(0);
  });

  it("sends 1 MiB in all and not a byte more, over however many connections", async () => {
    const scene = await settingUp();
    const body = "y".repeat(400_000);
    expect(await fetchThrough(scene, { body })).toContain("got 400000");
    expect(await fetchThrough(scene, { body })).toContain("got 400000");
    await expect(fetchThrough(scene, { body }).then((said) => expect(said).toContain("got"))).rejects.toThrow();
    const all = await ended(scene.id, 3);
    expect(all.map(({ end }) => end?.why)).toEqual(["closed", "closed", "sent"]);
    const sent = all.reduce((sum, { end }) => sum + (end?.sentBytes ?? 0), 0);
    expect(sent).toBeLessThanOrEqual(limits.setupSentBytesMax);
    expect(sent).toBeGreaterThan(800_000);
    const next = await fetchThrough(scene).catch((error: unknown) => String(error));
    expect(next).toMatch(/403 a set-up sends at most 1048576 bytes in all|got 0/);
  });

  it("has only so many connections at once, and no more than that in all", async () => {
    const scene = await settingUp();
    const hold = async (): Promise<void> => {
      const socket = await open(scene.channel.socket);
      cleanups.push(async () => socket.destroy());
      socket.write(`CONNECT ${HOST}:443 HTTP/1.1\r\nauthorization: Bearer ${scene.capability}\r\n\r\n`);
      await once(socket, "data");
    };
    await Promise.all(Array.from({ length: limits.setupConnectionsOpenMax }, hold));
    await expect(fetchThrough(scene)).rejects.toThrow(
      `403 a set-up has at most ${limits.setupConnectionsOpenMax} connections at once`,
    );
  });
});

describe("when the set-up is over", () => {
  it("every connection is cut before the gate passes, and none is opened any more", async () => {
    const scene = await settingUp();
    const { channel, capability } = scene;
    const held = await open(channel.socket);
    held.write(`CONNECT ${HOST}:443 HTTP/1.1\r\nauthorization: Bearer ${capability}\r\n\r\n`);
    await once(held, "data");
    const over = once(held, "close");
    expect((await channel.call({ path: "/v1/gate", token: capability, body: gate() })).status).toBe(200);
    await over;
    expect((await bench.run(scene.id)).setupConnections).toMatchObject([{ end: { why: "cut" } }]);
    await expect(fetchThrough(scene)).rejects.toThrow("403 the time for set-up is over");
    expect((await channel.call({ path: "/v1/key", token: capability })).status).toBe(200);
    await expect(fetchThrough(scene)).rejects.toThrow("403 the time for set-up is over");
    expect(reached).toBe(0);
  });

  it("the gate does not pass, and no key is lent, while another broker has a connection open", async () => {
    const { id, channel, capability } = await settingUp();
    const { machine } = channel;
    await bench.records.applyToRun(id, { type: "setup_opened", id: "con_elsewhere", host: HOST, machine });
    const early = await channel.call({ path: "/v1/gate", token: capability, body: gate() });
    expect([early.status, early.code]).toEqual([503, "SETUP_OPEN"]);
    expect((await channel.call({ path: "/v1/key", token: capability })).code).toBe("GATE_FAILED");
    const end = { sentBytes: 1, receivedBytes: 1, why: "closed" } as const;
    await bench.records.applyToRun(id, { type: "setup_closed", id: "con_elsewhere", end, machine });
    expect((await channel.call({ path: "/v1/gate", token: capability, body: gate() })).status).toBe(200);
  });

  it("the agent's proxy closes with every connection through it", async () => {
    const scene = await settingUp();
    const held = dial({ host: "127.0.0.1", port: scene.port });
    held.write(`CONNECT ${HOST}:443 HTTP/1.1\r\nhost: ${HOST}:443\r\n\r\n`);
    await once(held, "data");
    const over = once(held, "close");
    await scene.proxy.close();
    await over;
    expect(await ended(scene.id, 1)).toHaveLength(1);
    await expect(fetchThrough(scene)).rejects.toThrow("ECONNREFUSED");
  });

  it("a cancelled run's connections end with its rights", async () => {
    const scene = await settingUp();
    const held = await open(scene.channel.socket);
    held.write(`CONNECT ${HOST}:443 HTTP/1.1\r\nauthorization: Bearer ${scene.capability}\r\n\r\n`);
    await once(held, "data");
    const over = once(held, "close");
    const ending = { outcome: "cancelled", code: "closed", detail: "closed" } as const;
    await bench.records.applyToRun(scene.id, { type: "end", ending });
    await bench.look();
    await over;
    expect(await ended(scene.id, 1)).toMatchObject([{ end: { why: "cut" } }]);
  });
});

describe("a machine that nobody lets out", () => {
  it("reaches no host when its task names none, whatever its operator allows", async () => {
    const scene = await settingUp([]);
    await expect(fetchThrough(scene)).rejects.toThrow(
      "403 the task's `network` does not name this host; it names none",
    );
    expect(reached).toBe(0);
  });

  it("reaches nothing without its capability, or with another machine's", async () => {
    const scene = await settingUp();
    const other = await settingUp();
    for (const token of ["", "Bearer nothing", `Bearer ${other.capability}`]) {
      const socket = await open(scene.channel.socket);
      cleanups.push(async () => socket.destroy());
      socket.write(`CONNECT ${HOST}:443 HTTP/1.1\r\nauthorization: ${token}\r\n\r\n`);
      const [answer] = (await once(socket, "data")) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 401 /);
    }
    expect(reached).toBe(0);
  });
});
