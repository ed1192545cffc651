import { once } from "node:events";
import { connect as dial } from "node:net";
import { limits, type Run, type RunId } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { type BrokerBench, open } from "./broker-bench.ts";
import { gate } from "./channel-scene.ts";
import { BIG, HOST, NAMED, type SetupBench, startSetupBench } from "./setup-scene.ts";

const PEOPLE_WAIT_MS = 20_000;

let redis: TestRedis;
let scenes: SetupBench;
let bench: BrokerBench;
const settingUp: SetupBench["settingUp"] = (network) => scenes.settingUp(network);
const fetchThrough: SetupBench["fetchThrough"] = (scene, asked) => scenes.fetchThrough(scene, asked);
const reached = () => scenes.reached();

beforeAll(async () => {
  redis = await startTestRedis();
});

afterAll(() => redis.end());

beforeEach(async () => {
  scenes = await startSetupBench(redis);
  ({ bench } = scenes);
});

afterEach(() => scenes.close());

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
      { target: HOST },
      { target: "127.0.0.1:443" },
      { target: `${HOST}.:443` },
      { target: `x@${HOST}:443` },
    ];
    for (const one of refusals) {
      await expect(fetchThrough(scene, one)).rejects.toThrow(
        /^HTTP\/1\.1 403 (the task's `network` does not|only CONNECT)/,
      );
    }
    expect([reached(), (await bench.run(scene.id)).setupConnections]).toEqual([0, undefined]);
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
    expect(reached()).toBe(0);
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
    expect(reached()).toBe(0);
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
      scenes.atEnd(() => socket.destroy());
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
    expect(reached()).toBe(0);
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
    expect(reached()).toBe(0);
  });

  it("reaches nothing without its capability, or with another machine's", async () => {
    const scene = await settingUp();
    const other = await settingUp();
    for (const token of ["", "Bearer nothing", `Bearer ${other.capability}`]) {
      const socket = await open(scene.channel.socket);
      scenes.atEnd(() => socket.destroy());
      socket.write(`CONNECT ${HOST}:443 HTTP/1.1\r\nauthorization: ${token}\r\n\r\n`);
      const [answer] = (await once(socket, "data")) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 401 /);
    }
    expect(reached()).toBe(0);
  });
});
