import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { json } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startWorld, type TestWorld } from "../support/world.ts";
import { deliveries, ended, endingOf, handled, LABEL, leave, label, openPull, published, sent } from "./scene.ts";

const MIB = 1024 * 1024;
const oldSecret = randomBytes(20).toString("hex");

let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({ environment: { MAYFLY_WEBHOOK_SECRET_OLD: oldSecret } });
});

afterAll(() => leave(world));

/** Sends a `ping`, genuine but for what is given, and returns the answer. */
async function ping(changed: { headers?: Record<string, string | undefined>; body?: string; secret?: string }) {
  const guid = randomUUID();
  const body = changed.body ?? '{"zen":"Keep it logically awesome.","hook_id":1}';
  const { statusCode, body: text } = await world.github.deliver({ event: "ping", guid, ...changed, body });
  const kept = (await deliveries(world)).some(({ id }) => id === guid);
  return { guid, statusCode, kept, said: (JSON.parse(text) as { error?: string }).error };
}

/** Says that a body of this many bytes will come, sends none of it, and returns the answer. */
async function announce(bytes: number): Promise<{ statusCode: number | undefined; said: string | undefined }> {
  const headers = { "content-type": "application/json", "content-length": bytes };
  const asking = request(world.service().addresses.webhook, { method: "POST", headers, agent: false });
  asking.flushHeaders();
  try {
    const [answer] = (await once(asking, "response")) as [IncomingMessage];
    const { error } = (await json(answer)) as { error?: string };
    return { statusCode: answer.statusCode, said: error };
  } finally {
    asking.on("error", () => undefined).destroy();
  }
}

describe("the webhook's answer", () => {
  it("takes a ping, and records that it asks for nothing", async () => {
    const { guid, statusCode } = await ping({});
    expect(statusCode).toBe(202);
    expect(await handled(world, guid)).toMatchObject({ state: "ignored", reason: "a ping asks for nothing" });
  });

  it.each([
    ["missing", { "X-Hub-Signature-256": undefined }],
    ["empty", { "X-Hub-Signature-256": "" }],
    ["of another kind", { "X-Hub-Signature-256": `sha1=${"0".repeat(40)}` }],
    ["forged", { "X-Hub-Signature-256": `sha256=${"0".repeat(64)}` }],
  ])("is 401 when the signature is %s, and nothing is kept", async (_, headers) => {
    expect(await ping({ headers })).toMatchObject({
      statusCode: 401,
      kept: false,
      said: "the signature is missing or wrong",
    });
  });

  it("is 401 when the body was signed with a secret of somebody else", async () => {
    expect(await ping({ secret: "a secret that nobody here knows" })).toMatchObject({ statusCode: 401, kept: false });
  });

  it("is 202 for the old secret while both count", async () => {
    const { guid, statusCode } = await ping({ secret: oldSecret });
    expect(statusCode).toBe(202);
    expect(await handled(world, guid)).toMatchObject({ state: "ignored" });
  });

  it.each(["application/x-www-form-urlencoded", "text/plain", undefined])(
    "is 415 for the content type %s",
    async (type) => {
      expect(await ping({ headers: { "Content-Type": type } })).toMatchObject({
        statusCode: 415,
        kept: false,
        said: "the webhook's content type must be application/json",
      });
    },
  );

  it("is 413 for a body of 26 MB, before it has been sent", async () => {
    expect(await announce(26 * MIB)).toEqual({ statusCode: 413, said: "the body is bigger than GitHub sends" });
  });

  it.each(["[]", "null", "1", '"text"', "{"])("is 400 for the signed body %j, which is no object", async (body) => {
    expect(await ping({ body })).toMatchObject({
      statusCode: 400,
      kept: false,
      said: expect.stringMatching(/the body is not a JSON object|the request could not be read/) as string,
    });
  });

  it.each([
    ["X-GitHub-Delivery", undefined],
    ["X-GitHub-Delivery", "../../etc/passwd"],
    ["X-GitHub-Event", undefined],
    ["X-GitHub-Event", "Pull Request"],
  ])("is 400 when %s is %j", async (name, value) => {
    expect(await ping({ headers: { [name]: value } })).toMatchObject({
      statusCode: 400,
      kept: false,
      said: "X-GitHub-Delivery or X-GitHub-Event is missing or malformed",
    });
  });
});

describe("a delivery that asks for nothing", () => {
  it("of an unknown event is taken and recorded as ignored", async () => {
    const guid = randomUUID();
    const { statusCode } = await world.github.deliver({ event: "star", guid, body: '{"action":"created"}' });
    expect(statusCode).toBe(202);
    expect(await handled(world, guid)).toMatchObject({
      state: "ignored",
      event: "star",
      reason: "Mayfly does not act on star events",
    });
  });

  it("whose event's name contradicts its signed body is recorded as invalid", async () => {
    const pull = await openPull(world, { name: "contradiction", task: null });
    await world.github.addLabel(pull, "bug", { by: "maintainer" });
    const { requestBody } = sent(world, "pull_request", "labeled");
    const guid = randomUUID();
    const { statusCode } = await world.github.deliver({ event: "ping", guid, body: requestBody });
    expect(statusCode).toBe(202);
    expect(await handled(world, guid)).toMatchObject({
      state: "invalid",
      reason: "an event of this name has no pull_request in its body",
    });
  });

  it("with a field that GitHub never sends so is recorded as invalid, with the place", async () => {
    const pull = await openPull(world, { name: "malformed", task: null });
    await world.github.addLabel(pull, "bug", { by: "maintainer" });
    const text = sent(world, "pull_request", "labeled").requestBody.toString();
    const guid = randomUUID();
    const body = text.replaceAll(pull.headSha, "not a commit");
    const { statusCode } = await world.github.deliver({ event: "pull_request", guid, body });
    expect(statusCode).toBe(202);
    const { state, reason } = await handled(world, guid);
    expect(state).toBe("invalid");
    expect(reason).toContain("pull_request.head.sha");
    expect(reason).not.toContain("not a commit");
  });
});

describe("a label where GitHub lets Mayfly do nothing", () => {
  it("starts no run, is not tried for ever, and its record says why", async () => {
    const pull = await openPull(world, { name: "not-installed", task: null });
    const { installationId } = world.github.repository(pull.repo);
    world.github.loseNextDeliveries();
    await world.github.addLabel(pull, LABEL, { by: "maintainer" });
    const text = sent(world, "pull_request", "labeled").requestBody.toString();
    const guid = randomUUID();
    const body = text.replaceAll(`"installation":{"id":${installationId},`, '"installation":{"id":4711,');
    expect(body).not.toBe(text);
    expect((await world.github.deliver({ event: "pull_request", guid, body })).statusCode).toBe(202);
    const { state, reason, run } = await handled(world, guid);
    expect({ state, run }).toEqual({ state: "ignored", run: null });
    expect(reason).toContain("GitHub refused with 404");
    expect(reason).toContain("Check the App's permissions and that it is installed on the repository.");
  });
});

describe("a delivery that comes more than once", () => {
  it("under its own id starts one run", async () => {
    const pull = await openPull(world, { name: "twice", task: null });
    const id = await label(world, pull);
    await ended(world, id);
    const { guid, requestBody } = sent(world, "pull_request", "labeled");
    const again = await world.github.deliver({ event: "pull_request", guid, body: requestBody });
    expect(again.statusCode).toBe(202);
    expect(JSON.parse(again.body)).toMatchObject({ delivery: guid, taken: "known" });
    expect(await handled(world, guid)).toMatchObject({ state: "started", run: id });
    expect(await runsOn(pull.repo)).toEqual([id]);
    published(world, pull, id);
  });

  it("under another id starts one run, and the second says which delivery it repeats", async () => {
    const pull = await openPull(world, { name: "replayed", task: null });
    const id = await label(world, pull);
    const { guid: first, requestBody } = sent(world, "pull_request", "labeled");
    const guid = randomUUID();
    const again = await world.github.deliver({ event: "pull_request", guid, body: requestBody });
    expect(again.statusCode).toBe(202);
    expect(await handled(world, guid)).toMatchObject({
      state: "ignored",
      reason: `the same event as delivery ${first}`,
      run: null,
    });
    expect(endingOf(await ended(world, id))).toMatchObject({ outcome: "refused" });
    expect(await runsOn(pull.repo)).toEqual([id]);
    published(world, pull, id);
  });
});

describe("the listeners", () => {
  it("answer in public only to the webhook and to liveness", async () => {
    const base = new URL(world.service().addresses.webhook).origin;
    const alive = await fetch(`${base}/livez`);
    expect([alive.status, await alive.json()]).toEqual([200, { alive: true }]);
    for (const path of ["/", "/webhook", "/runs", "/runs/x/cancel", "/deliveries", "/ready", "/readyz", "/metrics"]) {
      const { status } = await fetch(`${base}${path}`);
      expect(`GET ${path} ${status}`).toBe(`GET ${path} 404`);
    }
    for (const path of ["/runs/x/cancel", "/livez", "/"]) {
      const { status } = await fetch(`${base}${path}`, { method: "POST" });
      expect(`POST ${path} ${status}`).toBe(`POST ${path} 404`);
    }
  });

  it("answer inside to readiness, and know no runs", async () => {
    const { internal } = world.service().addresses;
    const ready = await fetch(`${internal}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { ready: true, roles: ["intake", "worker", "broker", "web"], machines: 0 },
    ]);
    expect((await fetch(`${internal}/runs`)).status).toBe(404);
    expect((await fetch(`${internal}/webhook`, { method: "POST" })).status).toBe(404);
  });
});

/** The runs on that repository. */
async function runsOn(repo: string): Promise<string[]> {
  return (await world.control.list()).filter(({ about }) => about.startsWith(`${repo}#`)).map(({ id }) => id);
}
