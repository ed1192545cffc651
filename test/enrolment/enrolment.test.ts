import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { readFile, rename, stat } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Assignment } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Channel, createChannel } from "../../apps/agent/src/channel.ts";
import { claimAttempt } from "../../apps/agent/src/claim.ts";
import { enrol } from "../../apps/agent/src/enrol.ts";
import { createRelay } from "../../apps/agent/src/relay.ts";
import type { Transport } from "../../apps/agent/src/transport.ts";
import { loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { startTestRedis, type TestRedis, until } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { type DoorBench, openDoor, PACK } from "./door-bench.ts";

let redis: TestRedis;
let bench: DoorBench;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.end());
beforeEach(async () => {
  bench = await openDoor(redis);
});
afterEach(() => bench.close());

const hello = { protocol: 1, agent: "test", codex: "0.169.0" };
const HERE = "127.0.0.11";
const ELSEWHERE = "127.0.0.12";

async function enrolled(address: string): Promise<{ transport: Transport; channel: Channel }> {
  const broker = bench.dialFrom(address);
  const transport = await enrol({ brokers: [broker], pins: bench.keys.pins });
  return { transport, channel: createChannel(broker, transport) };
}

describe("a machine that enrols", () => {
  it("claims its attempt, gets its source and calls the model over mutual TLS alone", async () => {
    const id = await bench.addMachine(HERE);
    await bench.addRun();
    const { transport, channel } = await enrolled(HERE);
    expect(await bench.machine(id)).toMatchObject({ phase: "booting", enrolled: { address: HERE } });

    const assignment = await claimAttempt(channel, hello);
    expect(Assignment.parse(assignment)).toEqual(assignment);
    const token = assignment.capability;
    let pack = Buffer.alloc(0);
    await channel.download({ method: "GET", path: "/v1/source", token }, (piece) => {
      pack = Buffer.concat([pack, piece]);
    });
    expect(pack.equals(PACK)).toBe(true);

    const checks = [{ name: "identity", ok: true, seen: "uid 1001" }];
    const report = { safety_strategy: "unprivileged-user", checks };
    await channel.call({ method: "POST", path: "/v1/gate", token, body: report });
    const lent = await channel.call({ method: "POST", path: "/v1/key", token });
    const { key } = lent.body as { key: string };
    expect(await askThroughRelay(transport, key, "Hello.")).toContain("response.completed");
    // Most of it is there before the broker has looked who speaks.
    const long = "A long conversation. ".repeat(200_000);
    expect(await askThroughRelay(transport, key, long)).toContain("response.completed");
    expect(bench.door.refused()).toEqual({});
  });

  it("gets another certificate for the same key, since an answer can be lost", async () => {
    const id = await bench.addMachine(HERE);
    const key = newKey();
    const [first, second] = [await enrolKey(HERE, key), await enrolKey(HERE, key)];
    expect(first.status).toBe(200);
    expect(second.status).toBe(200);
    expect((await bench.machine(id)).phase).toBe("booting");
  });

  it("is destroyed when a second key is shown for it", async () => {
    const id = await bench.addMachine(HERE);
    const { channel } = await enrolled(HERE);
    await expect(enrolled(HERE)).rejects.toMatchObject({ kind: "refused", status: 409 });
    expect(await bench.machine(id)).toMatchObject({ phase: "destroying", why: "enrolled_twice" });
    expect(bench.woken).toContain(id);
    // The first one is out as well.
    await expect(claimAttempt(channel, hello)).rejects.toThrow("MACHINE_ENDED");
    expect(bench.door.refused()).toEqual({ ENROLLED_TWICE: 1, MACHINE_ENDED: 1 });
  });

  it("is destroyed when its key comes from an address that another machine had", async () => {
    const id = await bench.addMachine(HERE);
    const key = newKey();
    await enrolKey(HERE, key);
    bench.listing.set(ELSEWHERE, id);
    await expect(enrolKey(ELSEWHERE, key)).rejects.toThrow("ENROLLED_TWICE");
    expect((await bench.machine(id)).phase).toBe("destroying");
  });

  it("gives up when the fleet does not know its address, and is enrolled once it does", async () => {
    await expect(enrolKey(HERE, newKey())).rejects.toMatchObject({ status: 503 });
    expect(bench.door.refused()).toEqual({ ADDRESS_UNKNOWN: 1 });
    const enrolling = enrolled(HERE);
    // It has been told no itself, and asks again.
    await until(() => (bench.door.refused().ADDRESS_UNKNOWN ?? 0) > 1);
    await bench.addMachine(HERE);
    await enrolling;
  });

  it("waits at the address of a machine that has ended, until the fleet knows that it is another's", async () => {
    const ended = await bench.addMachine(HERE);
    await bench.records.applyToMachine(ended, { type: "destroy", why: "idle" });
    const enrolling = enrolled(HERE);
    await until(() => (bench.door.refused().ADDRESS_UNKNOWN ?? 0) > 0);
    const id = await bench.addMachine(HERE);
    await enrolling;
    expect((await bench.machine(id)).enrolled).toMatchObject({ address: HERE });
    expect((await bench.machine(ended)).enrolled).toBeNull();
  });

  it("is not enrolled when its deadline has passed", async () => {
    const id = await bench.addMachine(HERE);
    const { deadline, createdAt } = await bench.machine(id);
    bench.pass(deadline - createdAt);
    await expect(enrolKey(HERE, newKey())).rejects.toThrow("ADDRESS_UNKNOWN");
  });

  it.each([
    ["a key on another curve", { namedCurve: "secp256k1" }],
    ["a larger key", { namedCurve: "P-384" }],
  ])("is refused with %s", async (_what, curve) => {
    await bench.addMachine(HERE);
    const { publicKey } = generateKeyPairSync("ec", curve);
    const key = publicKey.export({ type: "spki", format: "der" }).toString("base64");
    await expect(enrolKey(HERE, key)).rejects.toThrow("BODY_INVALID");
  });

  it("is refused with bytes that are no key", async () => {
    await bench.addMachine(HERE);
    await expect(enrolKey(HERE, Buffer.alloc(91, 7).toString("base64"))).rejects.toThrow("BODY_INVALID");
  });
});

describe("the broker's key", () => {
  const strange = "A".repeat(43);

  it("is known by the second pin as well", async () => {
    await bench.addMachine(HERE);
    await enrol({ brokers: [bench.dialFrom(HERE)], pins: [strange, bench.keys.pins[0]] });
  });

  it("ends a machine that does not know it, before a byte of a request is sent", async () => {
    const id = await bench.addMachine(HERE);
    const enrolling = enrol({ brokers: [bench.dialFrom(HERE)], pins: [strange] });
    await expect(enrolling).rejects.toMatchObject({ kind: "refused" });
    await expect(enrolling).rejects.toThrow("none of those that this image pins");
    expect((await bench.machine(id)).enrolled).toBeNull();
  });

  it("is the same after a restart, readable by the broker alone, and changed by a move", async () => {
    const folder = join(bench.folder, "door");
    const again = await loadDoorKeys(folder, 0);
    expect(again.pins).toEqual(bench.keys.pins);
    expect((await stat(join(folder, "server.key"))).mode & 0o777).toBe(0o600);
    await rename(join(folder, "next.key"), join(folder, "server.key"));
    const changed = await loadDoorKeys(folder, 0);
    expect(changed.pins[0]).toBe(bench.keys.pins[1]);
    expect(bench.keys.pins).not.toContain(changed.pins[1]);
    expect(await readFile(join(folder, "pins"), "utf8")).toBe(`${changed.pins.join(",")}\n`);
  });
});

function newKey(): string {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return publicKey.export({ type: "spki", format: "der" }).toString("base64");
}

/** One try to enrol a key, by the agent's own channel. */
async function enrolKey(address: string, key: string): Promise<{ status: number }> {
  const { pinnedTransport } = await import("../../apps/agent/src/pinned-transport.ts");
  const broker = bench.dialFrom(address);
  const channel = createChannel(broker, pinnedTransport({ brokers: [broker], pins: bench.keys.pins, identity: null }));
  return channel.call({ method: "POST", path: "/v1/enrol", body: { schema: 1, key }, patienceMs: 0 });
}

/** A model call as Codex makes it. */
async function askThroughRelay(transport: Transport, key: string, text: string): Promise<string> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const relay = createRelay({ listener, broker: bench.dialFrom(HERE), transport });
  try {
    relay.setKey(key);
    const { port } = listener.address() as AddressInfo;
    const body = JSON.stringify({
      model: "gpt-5.5",
      input: [{ type: "message", role: "user", content: [{ type: "input_text", text }] }],
      stream: true,
      store: false,
    });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`http://127.0.0.1:${port}/v1/responses`, { method: "POST", headers, body });
    return await answer.text();
  } finally {
    relay.close();
  }
}
