import { generateKeyPairSync } from "node:crypto";
import { Server, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { limits } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { doorBounds } from "../../apps/orchestrator/src/broker/enrolment/door-bounds.ts";
import { digestOfKey, readMachineKey, spkiOf } from "../../apps/orchestrator/src/broker/enrolment/machine-key.ts";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { type DoorBench, openDoor } from "./door-bench.ts";

let redis: TestRedis;
let bench: DoorBench;
const sockets: Socket[] = [];
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.end());
afterEach(async () => {
  vi.restoreAllMocks();
  sockets.splice(0).forEach((socket) => socket.destroy());
  await bench.close();
});

const HERE = "127.0.0.11";
const HOSTILE = ["127.0.0.21", "127.0.0.22", "127.0.0.23"];

/** A machine that is enrolled, and what it shows. */
async function enrolledAt(address: string) {
  const machine = await bench.addMachine(address);
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = spkiOf(publicKey);
  await bench.records.applyToMachine(machine, { type: "enrol", key: digestOfKey(spki), address });
  const { createdAt, deadline } = await bench.machine(machine);
  const cert = bench.keys.authority.issue({ machine, key: spki, from: createdAt, until: deadline });
  return { address, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), cert };
}

/** A connection that has spoken and stays; null where the door closed it. */
async function comeIn({ address, key, cert }: Awaited<ReturnType<typeof enrolledAt>>): Promise<TLSSocket | null> {
  const socket = connectTls({ ...bench.dialFrom(address), rejectUnauthorized: false, key, cert });
  sockets.push(socket);
  socket.on("error", () => {});
  const closed = new Promise<null>((resolve) => socket.once("close", () => resolve(null)));
  socket.once("secureConnect", () => socket.write("GET / HTTP/1.1\r\nhost: broker\r\n\r\n"));
  const said = new Promise<TLSSocket>((resolve) => socket.once("data", () => resolve(socket)));
  return Promise.race([said, closed]);
}

describe("a door that three of four machines try to fill", () => {
  it("keeps room for all that a well-behaved one needs", async () => {
    // The same shares as outside, of a fleet of four.
    const { connections, handshakes } = doorBounds;
    const each = connections.eachAtOnceMax;
    bench = await openDoor(redis, {
      bounds: {
        connections: { ...connections, atOnceMax: 4 * each },
        handshakes: { ...handshakes, atOnceMax: 4 * handshakes.eachAtOnceMax },
      },
    });
    for (const address of HOSTILE) {
      const machine = await enrolledAt(address);
      const inside: unknown[] = [];
      for (let tries = 0; tries < each + 4; tries++) {
        inside.push(await comeIn(machine));
      }
      expect(inside.filter((socket) => socket !== null)).toHaveLength(each);
    }
    const good = await enrolledAt(HERE);
    // The agent's own, and its model calls at once.
    for (let needed = 0; needed < 8 + limits.modelConcurrencyMax; needed++) {
      expect(await comeIn(good)).not.toBeNull();
    }
  });

  it("has a share for every machine of the largest fleet", () => {
    for (const { atOnceMax, eachAtOnceMax } of [doorBounds.connections, doorBounds.handshakes, doorBounds.guests]) {
      expect(atOnceMax).toBeGreaterThanOrEqual(1_000 * eachAtOnceMax);
    }
  });
});

/** Opens the bench and finds the listener behind it: nothing else can be made to run out of descriptors at will. */
async function openAndFind(): Promise<Server> {
  const listen = vi.spyOn(Server.prototype, "listen");
  bench = await openDoor(redis);
  const { port } = bench.dialFrom(HERE);
  const servers = listen.mock.contexts as Server[];
  const found = servers.find((server) => (server.address() as { port?: number } | null)?.port === port);
  if (found === undefined) {
    throw new Error("the door does not listen");
  }
  return found;
}

describe("a door", () => {
  it("goes on when a connection cannot be accepted, as where no descriptor is left", async () => {
    const door = await openAndFind();
    door.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" }));
    expect(door.listening).toBe(true);
    expect(await comeIn(await enrolledAt(HERE))).not.toBeNull();
  });

  it("sends small answers at once", async () => {
    expect(await openAndFind()).toMatchObject({ noDelay: true });
  });
});

describe("a public key that cannot be parsed", () => {
  it.each([
    ["no bytes", Buffer.alloc(0)],
    ["a key cut short", spkiOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey).subarray(0, 60)],
    ["a point that is not on the curve", withBadPoint()],
    [
      "bytes after the key",
      Buffer.concat([spkiOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey), Buffer.of(0)]),
    ],
  ])("is none: %s", (_what, bytes) => {
    expect(readMachineKey(bytes.toString("base64"))).toBeNull();
  });
});

function withBadPoint(): Buffer {
  const spki = Buffer.from(spkiOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey));
  spki.fill(0xff, spki.length - 32);
  return spki;
}
