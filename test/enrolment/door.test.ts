import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import type { MachineId } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createAuthority } from "../../apps/orchestrator/src/broker/enrolment/authority.ts";
import { type DoorBounds, doorBounds } from "../../apps/orchestrator/src/broker/enrolment/door-bounds.ts";
import { digestOfKey, spkiOf } from "../../apps/orchestrator/src/broker/enrolment/machine-key.ts";
import { startTestRedis, type TestRedis, until } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { type DoorBench, type DoorBenchOptions, openDoor } from "./door-bench.ts";

let redis: TestRedis;
let bench: DoorBench;
const sockets: Socket[] = [];
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.end());
afterEach(async () => {
  sockets.splice(0).forEach((socket) => socket.destroy());
  await bench.close();
});

async function open(bounds: Partial<DoorBounds> = {}, options: DoorBenchOptions = {}): Promise<void> {
  bench = await openDoor(redis, { ...options, bounds });
}

const HERE = "127.0.0.11";
const ELSEWHERE = "127.0.0.12";
const claim = "POST /v1/claim HTTP/1.1\r\nhost: broker\r\n";

/** A key pair and a certificate, as they lie in a machine's memory. */
interface Stolen {
  readonly machine: MachineId;
  readonly key: string;
  readonly cert: string;
}

/** A machine that is enrolled, and what root in it could copy. */
async function enrolledAt(address: string): Promise<Stolen> {
  const machine = await bench.addMachine(address);
  const { privateKey, publicKey } = newPair();
  await bench.records.applyToMachine(machine, { type: "enrol", key: digestOfKey(spkiOf(publicKey)), address });
  return { machine, ...(await certify(machine, privateKey, bench.keys.authority)) };
}

async function certify(machine: MachineId, key: KeyObject, authority: typeof bench.keys.authority) {
  const { createdAt, deadline } = await bench.machine(machine);
  const spki = spkiOf(createPublicKey(key));
  const cert = authority.issue({ machine, key: spki, from: createdAt, until: deadline });
  return { key: key.export({ type: "pkcs8", format: "pem" }).toString(), cert };
}

function newPair() {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** A connection through the door, whatever the door thinks of it. */
async function enter(address: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ ...bench.dialFrom(address), rejectUnauthorized: false, ...options });
  sockets.push(socket);
  socket.on("error", () => {});
  await first(socket, "secureConnect", "close");
  return socket;
}

async function knock(address: string): Promise<Socket> {
  const socket = connect(bench.dialFrom(address));
  sockets.push(socket);
  socket.on("error", () => {});
  await first(socket, "connect", "close");
  return socket;
}

/** Says it and returns all that comes back until the other end hangs up. */
async function say(socket: Socket, text: string): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.write(text);
  if (!socket.destroyed) {
    await first(socket, "close");
  }
  return Buffer.concat(chunks).toString("latin1");
}

/** Whichever comes first. How a connection ended is not asked: it may be cut at any time. */
async function first(socket: Socket, ...events: readonly string[]): Promise<void> {
  await new Promise<void>((resolve) => events.forEach((event) => socket.once(event, () => resolve())));
}

async function heldUp(socket: Socket): Promise<string> {
  return say(socket, `${claim}content-length: 0\r\n\r\n`);
}

describe("a certificate", () => {
  it("is worth nothing at another address", async () => {
    await open();
    const { key, cert } = await enrolledAt(HERE);
    const told = await heldUp(await enter(ELSEWHERE, { key, cert }));
    expect(told).toContain("403 Forbidden");
    expect(told).toContain("ADDRESS_WRONG");
    expect(bench.door.refused()).toEqual({ ADDRESS_WRONG: 1 });
  });

  it("is worth nothing once the machine's deadline has passed", async () => {
    await open();
    const { machine, key, cert } = await enrolledAt(HERE);
    const { createdAt, deadline } = await bench.machine(machine);
    bench.pass(deadline - createdAt);
    expect(await heldUp(await enter(HERE, { key, cert }))).toContain("CERTIFICATE_EXPIRED");
  });

  it("is worth nothing once the machine is to be destroyed", async () => {
    await open();
    const { machine, key, cert } = await enrolledAt(HERE);
    await bench.records.applyToMachine(machine, { type: "destroy", why: "idle" });
    expect(await heldUp(await enter(HERE, { key, cert }))).toContain("MACHINE_ENDED");
  });

  it("of another authority is foreign, whatever it says", async () => {
    await open();
    const { machine } = await enrolledAt(HERE);
    const other = createAuthority(newPair().privateKey);
    const forged = await certify(machine, newPair().privateKey, other);
    expect(await heldUp(await enter(HERE, forged))).toContain("CERTIFICATE_FOREIGN");
    expect(bench.door.refused()).toEqual({ CERTIFICATE_FOREIGN: 1 });
  });

  it("that the machine signed itself, or the broker's own, is foreign", async () => {
    await open();
    const { machine } = await enrolledAt(HERE);
    const { privateKey } = newPair();
    const own = await certify(machine, privateKey, createAuthority(privateKey));
    expect(await heldUp(await enter(HERE, own))).toContain("CERTIFICATE_FOREIGN");
    const { key, certificate: cert } = bench.keys.server;
    expect(await heldUp(await enter(HERE, { key, cert }))).toContain("CERTIFICATE_FOREIGN");
  });

  it("for a key that is not the one enrolled is refused", async () => {
    await open();
    const { machine } = await enrolledAt(HERE);
    const other = await certify(machine, newPair().privateKey, bench.keys.authority);
    expect(await heldUp(await enter(HERE, other))).toContain("KEY_NOT_ENROLLED");
  });

  it("gives the rights of its own machine and of no other", async () => {
    await open();
    const [own, other] = [await enrolledAt(HERE), await enrolledAt(ELSEWHERE)];
    await bench.addRun();
    const body = JSON.stringify({ protocol: 1, agent: "test", codex: "0.169.0" });
    const ask = (text: string) => `${text}connection: close\r\ncontent-type: application/json\r\n`;
    const told = await say(await enter(HERE, own), `${ask(claim)}content-length: ${body.length}\r\n\r\n${body}`);
    expect(await bench.machine(own.machine)).toMatchObject({ phase: "claimed" });
    const capability = /"capability":"([^"]+)"/.exec(told)?.[1] ?? "";
    const beat = `${ask("POST /v1/heartbeat HTTP/1.1\r\nhost: broker\r\n")}authorization: Bearer ${capability}\r\n`;
    expect(await say(await enter(HERE, own), `${beat}content-length: 2\r\n\r\n{}`)).toContain("200 OK");
    const stolen = await say(await enter(ELSEWHERE, other), `${beat}content-length: 2\r\n\r\n{}`);
    expect(stolen).toContain("CAPABILITY_INVALID");
  });

  it("lets no session be resumed", async () => {
    await open();
    const { key, cert } = await enrolledAt(HERE);
    const before = await enter(HERE, { key, cert });
    const offered: Buffer[] = [];
    before.on("session", (session: Buffer) => offered.push(session));
    await say(before, "GET / HTTP/1.1\r\nhost: broker\r\nconnection: close\r\n\r\n");
    const session = offered[0] ?? before.getSession();
    const after = await enter(HERE, { key, cert, ...(session === undefined ? {} : { session }) });
    expect(after.isSessionReused()).toBe(false);
  });
});

describe("a channel", () => {
  it("ends its connections when it is closed", async () => {
    await open();
    const { machine, key, cert } = await enrolledAt(HERE);
    const socket = await enter(HERE, { key, cert });
    socket.write("GET / HTTP/1.1\r\nhost: broker\r\n\r\n");
    await first(socket, "data");
    const closed = first(socket, "close");
    await bench.closeChannel(machine);
    await closed;
  });

  it("is served by a broker that nobody has told of the machine, as one of several is not", async () => {
    await open();
    const { machine, key, cert } = await enrolledAt(HERE);
    await bench.closeChannel(machine);
    const body = JSON.stringify({ protocol: 1, agent: "test", codex: "0.169.0" });
    await bench.addRun();
    const head = `${claim}connection: close\r\ncontent-type: application/json\r\n`;
    const told = await say(await enter(HERE, { key, cert }), `${head}content-length: ${body.length}\r\n\r\n${body}`);
    expect(told).toContain("200 OK");
  });

  it("is not opened again by a connection that was let in before its machine ended", async () => {
    await open(
      {},
      {
        async beforeTake(machine) {
          await bench.records.applyToMachine(machine, { type: "destroy", why: "idle" });
          await bench.closeChannel(machine);
        },
      },
    );
    const { key, cert } = await enrolledAt(HERE);
    const socket = await enter(HERE, { key, cert });
    await first(socket, "close");
    expect(bench.door.refused()).toEqual({ MACHINE_ENDED: 1 });
  });

  it("ends a connection that never comes to the end of a head", async () => {
    await open({}, { patience: { requestMs: 300, headMs: 300, lookMs: 50 } });
    const { key, cert } = await enrolledAt(HERE);
    const socket = await enter(HERE, { key, cert });
    socket.write(claim);
    socket.resume();
    const dripping = setInterval(() => socket.write("x"), 50);
    await first(socket, "close");
    clearInterval(dripping);
  });

  it("has as many connections as it would have by its own socket", async () => {
    await open({ connections: { ...doorBounds.connections, eachAtOnceMax: 100 } });
    const { key, cert } = await enrolledAt(HERE);
    const inside: TLSSocket[] = [];
    for (let i = 0; i < 64; i++) {
      inside.push(await enter(HERE, { key, cert }));
    }
    expect(await heldUp(await enter(HERE, { key, cert }))).toBe("");
    expect(inside.filter((socket) => socket.destroyed)).toEqual([]);
    expect(bench.door.refused()).toEqual({ TOO_MANY_CONNECTIONS: 1 });
  });
});

describe("a stranger", () => {
  it.each([
    ["POST", "/v1/claim"],
    ["POST", "/v1/responses"],
    ["GET", "/v1/source"],
    ["GET", "/v1/enrol"],
    ["POST", "/v1/enrol/"],
    ["GET", "/"],
  ])("is not served %s %s", async (method, path) => {
    await open();
    await bench.addMachine(HERE);
    const told = await say(
      await enter(HERE),
      `${method} ${path} HTTP/1.1\r\nhost: broker\r\ncontent-length: 0\r\n\r\n`,
    );
    expect(told).toContain("404 Not Found");
    expect(bench.door.refused()).toEqual({ NOT_SERVED: 1 });
  });

  it("has one request for each connection, however it sends two", async () => {
    await open();
    await bench.addMachine(HERE);
    // The second would be refused, and counted, long before the first has been to the records and back.
    const told = await say(await enter(HERE), `${enrolment()}GET / HTTP/1.1\r\nhost: broker\r\n\r\n`);
    expect(told.match(/HTTP\/1\.1 200/g)).toHaveLength(1);
    expect(bench.door.refused()).toEqual({});
  });

  it.each([
    ["a long body", (key: string) => JSON.stringify({ schema: 1, key, more: "x".repeat(5_000) }), "BODY_TOO_BIG"],
    ["an unknown field", (key: string) => JSON.stringify({ schema: 1, key, more: "x" }), "BODY_INVALID"],
    ["another schema", (key: string) => JSON.stringify({ schema: 2, key }), "BODY_INVALID"],
    ["a name twice", (key: string) => `{"schema":1,"key":"${key}","key":"${key}"}`, "BODY_INVALID"],
  ])("is refused with %s", async (_what, bodyOf, code) => {
    await open();
    const machine = await bench.addMachine(HERE);
    expect(await say(await enter(HERE), enrolment(bodyOf))).toContain(code);
    expect((await bench.machine(machine)).enrolled).toBeNull();
  });

  it("hears nothing without TLS", async () => {
    await open();
    await bench.addMachine(HERE);
    const said = await say(await knock(HERE), enrolment());
    expect(said).not.toContain("HTTP/1.1");
    await until(() => bench.door.refused().HANDSHAKE_FAILED === 1);
  });

  it("hears nothing with an older TLS", async () => {
    await open();
    const socket = await enter(HERE, { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" });
    expect(socket.getProtocol()).not.toBe("TLSv1.2");
    await until(() => bench.door.refused().HANDSHAKE_FAILED === 1);
  });

  it("loses its place when its handshake takes too long, even if it goes on all the time", async () => {
    await open({ handshakeMs: 300 });
    const socket = await knock(HERE);
    // The head of a record that is announced and never whole.
    socket.write(Buffer.from("1603010200", "hex"));
    const dripping = setInterval(() => socket.write("\x01"), 50);
    await first(socket, "close");
    clearInterval(dripping);
    await until(() => bench.door.refused().HANDSHAKE_FAILED === 1);
  });

  it("loses its place when it says nothing after the handshake", async () => {
    await open({ guestMs: 300 });
    const socket = await enter(HERE);
    const dripping = setInterval(() => socket.write("P"), 50);
    await first(socket, "close");
    clearInterval(dripping);
  });

  it("takes up the places of its own address alone", async () => {
    await open({ handshakes: { ...doorBounds.handshakes, eachAtOnceMax: 2 } });
    await knock(HERE);
    await knock(HERE);
    expect(await say(await knock(HERE), "")).toBe("");
    expect(bench.door.refused()).toEqual({ TOO_MANY_CONNECTIONS: 1 });
    await bench.addMachine(ELSEWHERE);
    expect(await say(await enter(ELSEWHERE), enrolment())).toContain("200 OK");
  });

  it("shuts nobody out by sixteen silent connections from each of eight addresses", async () => {
    await open();
    for (let knocks = 0; knocks < 128; knocks++) {
      await knock(`127.0.0.${20 + (knocks % 8)}`);
    }
    await bench.addMachine(HERE);
    expect(await say(await enter(HERE), enrolment())).toContain("200 OK");
  });

  it("may ask no faster than its rate", async () => {
    await open({ guests: { ...doorBounds.guests, burst: 2 } });
    const ask = async () => heldUp(await enter(HERE));
    expect(await ask()).toContain("404");
    expect(await ask()).toContain("404");
    expect(await ask()).toBe("");
    bench.pass(2_000);
    expect(await ask()).toContain("404");
    expect(bench.door.refused()).toEqual({ NOT_SERVED: 3, TOO_MANY_CONNECTIONS: 1 });
  });
});

/** A whole request to enrol a fresh key, or what `bodyOf` makes of that key. */
function enrolment(bodyOf = (key: string) => JSON.stringify({ schema: 1, key })): string {
  const body = bodyOf(spkiOf(newPair().publicKey).toString("base64"));
  const head = "POST /v1/enrol HTTP/1.1\r\nhost: broker\r\ncontent-type: application/json\r\n";
  return `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
