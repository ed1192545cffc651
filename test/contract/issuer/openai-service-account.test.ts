import { isAppError, type IssuerConfig, Secret } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createIssuer } from "../../../apps/orchestrator/src/broker/issuers/create-issuer.ts";
import { type Credentials, createCredentials } from "../../../apps/orchestrator/src/broker/issuers/credentials.ts";
import type { Issuer } from "../../../apps/orchestrator/src/broker/issuers/issuer.ts";
import type { FakeOpenAiAdmin } from "../../fakes/openai-admin/server.ts";
import { type IssuerWorld, openIssuerWorld, otherRun, run, serviceAccountCase } from "./support.ts";

const attempt = { run, epoch: 1, seconds: 1_800 };
const isOver = async (): Promise<boolean> => false;

describe("a key per attempt", () => {
  let world: IssuerWorld;
  let admin: FakeOpenAiAdmin;
  let issuer: Issuer;
  let credentials: Credentials;

  beforeEach(async () => {
    world = await openIssuerWorld(serviceAccountCase);
    admin = world.admin as FakeOpenAiAdmin;
    issuer = world.newIssuer();
    credentials = createCredentials({ issuer, clock: world.clock, log: world.log });
  });

  afterEach(async () => {
    await credentials.close();
    await world.close();
  });

  it("carries its attempt in its name, is restricted, and outlives the attempt by a minute at most", async () => {
    await issuer.issue(attempt);
    const seconds = Math.floor(world.clock.now() / 1000);
    expect(admin.keys).toMatchObject([
      { name: `mayfly-${run}-1`, serviceAccount: "svc_1", scopes: ["api.responses.write"], expiresAt: seconds + 1_860 },
    ]);
  });

  it("lives no longer than the settings say", async () => {
    await issuer.issue({ ...attempt, seconds: 100_000 });
    expect((admin.keys[0]?.expiresAt ?? 0) - (admin.keys[0]?.createdAt ?? 0)).toBe(3_600);
  });

  it.each([{ seconds: -5 }, { seconds: 0.4 }])(
    "is asked for whole positive seconds when $seconds are left",
    async (left) => {
      await issuer.issue({ ...attempt, ...left });
      expect(admin.violations).toEqual([]);
    },
  );

  it("obeys Retry-After in seconds and as a date", async () => {
    const date = new Date(world.clock.now() + 3_000 + 7_000).toUTCString();
    admin.misbehave("POST", { kind: "limit", retryAfter: "3" }, { kind: "limit", retryAfter: date });
    expect(await world.works((await issuer.issue(attempt)).headers())).toBe(true);
    expect(world.clock.pauses).toEqual([3_000, 7_000]);
  });

  it("pauses longer each time when nothing says how long", async () => {
    admin.misbehave("POST", { kind: "fail", status: 500 }, { kind: "limit", retryAfter: "soon" });
    await issuer.issue(attempt);
    expect(world.clock.pauses).toEqual([500, 1_000]);
  });

  it("gives up after three tries, and says that another time may do", async () => {
    admin.misbehave("POST", ...[1, 2, 3].map(() => ({ kind: "fail", status: 503 }) as const));
    await expect(issuer.issue(attempt)).rejects.toMatchObject({ code: "CREDENTIAL_UNAVAILABLE" });
    expect(admin.calls).toHaveLength(3);
  });

  it("does not wait where it is asked to wait for long", async () => {
    admin.misbehave("POST", { kind: "limit", retryAfter: "3600" });
    await expect(issuer.issue(attempt)).rejects.toMatchObject({ code: "CREDENTIAL_UNAVAILABLE" });
    expect(world.clock.pauses).toEqual([]);
  });

  it.each([
    ["another Admin key", { adminKey: new Secret("sk-admin-wrong") }, "invalid_api_key"],
    ["another project", { project: "proj_2" }, "no such project"],
    ["another service account", { serviceAccount: "svc_9" }, "service account"],
  ])("is refused for good with %s, and no message quotes a key", async (_, wrong, words) => {
    const config = { ...serviceAccountCase.config(admin.url), ...wrong } as IssuerConfig;
    const fault = await createIssuer(config, { clock: world.clock, log: world.log })
      .issue(attempt)
      .catch((error: unknown) => error);
    expect(isAppError(fault, "CREDENTIAL_REFUSED") ? fault.message : fault).toContain(words);
    expect(String((fault as Error).stack)).not.toContain("sk-admin");
    expect(admin.keys).toEqual([]);
  });

  it("takes no key that lives for ever, and deletes it", async () => {
    admin.misbehave("POST", { kind: "forget-expiry" });
    await expect(issuer.issue(attempt)).rejects.toMatchObject({ code: "CREDENTIAL_REFUSED" });
    expect(admin.keys).toHaveLength(1);
    expect(admin.present()).toEqual([]);
  });

  it.each([
    ["no JSON", "<html>"],
    ["a value twice", '{"id":"key_1","value":"sk-1","value":"sk-2","created_at":1,"expires_at":9}'],
    ["a name that parsers read in two ways", '{"id":"key_1","value":"sk-1","created_at":1,"expires_at":9,"\\u0061":1}'],
    ["another id", JSON.stringify({ id: "../../x", value: "sk-1", created_at: 1, expires_at: 2 })],
    ["a value with a line break", JSON.stringify({ id: "key_1", value: "sk-1\r\nx: y", created_at: 1, expires_at: 2 })],
    [
      "more than a megabyte",
      JSON.stringify({ id: "key_1", value: "sk-1", created_at: 1, expires_at: 9, name: "x".repeat(1_100_000) }),
    ],
  ])("takes %s for no answer", async (_, body) => {
    admin.misbehave("POST", ...[1, 2, 3].map(() => ({ kind: "answer", body }) as const));
    await expect(issuer.issue(attempt)).rejects.toMatchObject({ code: "CREDENTIAL_UNAVAILABLE" });
  });

  it("whose answer was lost is swept once its attempt is over", async () => {
    admin.misbehave("POST", { kind: "lose-answer" });
    const loan = await credentials.lend(attempt);
    expect(admin.present()).toHaveLength(2);
    expect(await world.works(loan?.headers() ?? {})).toBe(true);
    expect(await credentials.sweep(async () => true)).toBe(0);
    await credentials.release(run, 1);
    expect(await credentials.sweep(isOver)).toBe(1);
    expect(admin.present()).toEqual([]);
  });

  it("whose answers were all lost is swept as well, and expires by itself before that", async () => {
    admin.misbehave("POST", ...[1, 2, 3].map(() => ({ kind: "lose-answer" }) as const));
    await expect(credentials.lend(attempt)).rejects.toMatchObject({ code: "CREDENTIAL_UNAVAILABLE" });
    world.clock.pass(1_860_000);
    expect(admin.keys.filter(({ value }) => admin.isGood(value))).toEqual([]);
    expect(await credentials.sweep(isOver)).toBe(3);
    expect(admin.present()).toEqual([]);
  });

  it("that cannot be deleted is deleted by the next sweep, and known as a secret until then", async () => {
    const loan = await credentials.lend(attempt);
    admin.misbehave("DELETE", { kind: "fail", status: 500 }, { kind: "fail", status: 500 });
    await credentials.release(run, 1);
    expect(await world.works(loan?.headers() ?? {})).toBe(true);
    world.clock.pass(2 * 60 * 60_000);
    expect(credentials.secrets()).toHaveLength(1);
    expect(await credentials.sweep(isOver)).toBe(1);
    expect(admin.present()).toEqual([]);
    world.clock.pass(60 * 60_001);
    expect(credentials.secrets()).toEqual([]);
  });

  it("whose deletion was done but not answered is gone for us as well", async () => {
    const credential = await issuer.issue(attempt);
    admin.misbehave("DELETE", { kind: "lose-answer" });
    await credential.revoke();
    expect(admin.present()).toEqual([]);
  });

  it("that is being made when its attempt ends is deleted too", async () => {
    admin.misbehave("POST", { kind: "hold" });
    const lent = credentials.lend(attempt);
    await admin.whenCalled(1);
    const released = credentials.release(run, 1);
    admin.resume();
    await released;
    expect(await lent).toBeNull();
    expect(admin.keys).toHaveLength(1);
    expect(admin.present()).toEqual([]);
  });

  it("is replaced in a long attempt, and lives on while a call still shows it", async () => {
    const holder = { ...attempt, seconds: 10_000 };
    const long = await credentials.lend(holder);
    world.clock.pass(45 * 60_000);
    const next = await credentials.lend(holder);
    expect(next?.headers()).not.toEqual(long?.headers());
    expect(await world.works(long?.headers() ?? {})).toBe(true);
    long?.done();
    await admin.whenCalled(3);
    expect(admin.calls.map(({ method }) => method)).toEqual(["POST", "POST", "DELETE"]);
    expect(await world.works(next?.headers() ?? {})).toBe(true);
    next?.done();
  });

  it("is used on when it cannot be renewed, with no more than one request for another each half minute", async () => {
    const holder = { ...attempt, seconds: 10_000 };
    const first = (await credentials.lend(holder))?.headers();
    world.clock.pass(45 * 60_000);
    admin.misbehave("POST", ...[1, 2, 3].map(() => ({ kind: "fail", status: 500 }) as const));
    expect((await credentials.lend(holder))?.headers()).toEqual(first);
    expect((await credentials.lend(holder))?.headers()).toEqual(first);
    expect(admin.calls).toHaveLength(4);
    world.clock.pass(30_000);
    expect((await credentials.lend(holder))?.headers()).not.toEqual(first);
  });

  it("that has expired is not shown, even if there is no other", async () => {
    await credentials.lend(attempt);
    world.clock.pass(1_860_000);
    admin.misbehave("POST", ...[1, 2, 3].map(() => ({ kind: "fail", status: 500 }) as const));
    await expect(credentials.lend(attempt)).rejects.toMatchObject({ code: "CREDENTIAL_UNAVAILABLE" });
  });
});

describe("the sweeper of keys", () => {
  let world: IssuerWorld;
  let admin: FakeOpenAiAdmin;

  beforeEach(async () => {
    world = await openIssuerWorld(serviceAccountCase);
    admin = world.admin as FakeOpenAiAdmin;
  });

  afterEach(async () => {
    await world.close();
  });

  it("touches no key of another account, of a person, or of another name", async () => {
    const name = `mayfly-${run}-1`;
    const others = [
      { name, serviceAccount: "svc_2" },
      { name, serviceAccount: null },
      { name: "mayfly", serviceAccount: "svc_1" },
      { name: "production", serviceAccount: "svc_1" },
    ].map((key) => admin.add(key));
    admin.add({ name, serviceAccount: "svc_1" });
    expect(await world.newIssuer().sweep(isOver)).toBe(1);
    expect(admin.present()).toEqual(others);
    expect(admin.violations).toEqual([]);
  });

  it("finds keys whose owner may not use the project any more", async () => {
    admin.add({ name: `mayfly-${run}-1`, serviceAccount: "svc_1", access: "inactive" });
    expect(await world.newIssuer().sweep(isOver)).toBe(1);
  });

  it("reads every page", async () => {
    for (let count = 0; count < 250; count++) {
      admin.add({ name: `mayfly-${run}-${count}`, serviceAccount: "svc_1" });
    }
    expect(await world.newIssuer().sweep(async (_, epoch) => epoch % 2 === 0)).toBe(125);
    expect(admin.calls.filter(({ method }) => method === "GET")).toHaveLength(3);
    expect(admin.present()).toHaveLength(125);
  });

  it("deletes nothing when the records cannot be asked", async () => {
    admin.add({ name: `mayfly-${run}-1`, serviceAccount: "svc_1" });
    const sweep = world.newIssuer().sweep(async () => {
      throw new Error("no records");
    });
    await expect(sweep).rejects.toThrow("no records");
    expect(admin.present()).toHaveLength(1);
  });

  it("deletes the others when one resists, and says so", async () => {
    admin.add({ name: `mayfly-${run}-1`, serviceAccount: "svc_1" });
    admin.add({ name: `mayfly-${otherRun}-1`, serviceAccount: "svc_1" });
    admin.misbehave("DELETE", { kind: "fail", status: 500 }, { kind: "fail", status: 500 });
    await expect(world.newIssuer().sweep(isOver)).rejects.toMatchObject({ code: "CREDENTIAL_UNAVAILABLE" });
    expect(admin.present()).toHaveLength(1);
    expect(await world.newIssuer().sweep(isOver)).toBe(1);
  });

  it("asks ever more rarely for the deletion of one that resists, and complains only when it waits longer", async () => {
    admin.add({ name: `mayfly-${run}-1`, serviceAccount: "svc_1" });
    const issuer = world.newIssuer();
    admin.misbehave("DELETE", ...Array.from({ length: 20 }, () => ({ kind: "fail", status: 403 }) as const));
    const minutes: number[] = [];
    let complaints = 0;
    for (let minute = 0, asked = 0; minute < 5 * 60; minute++) {
      await issuer.sweep(isOver).catch(() => (complaints += 1));
      const before = asked;
      asked = admin.calls.filter(({ method }) => method === "DELETE").length;
      minutes.push(...(asked > before ? [minute] : []));
      world.clock.pass(60_000);
    }
    expect(minutes).toEqual([0, 1, 2, 4, 8, 16, 32, 64, 124, 184, 244]);
    expect(complaints).toBe(8);
  });
});
