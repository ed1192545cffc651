import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseConfig, type Store } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, buildBroker } from "../../apps/orchestrator/src/broker/broker.ts";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { listenOnSocket } from "../../apps/orchestrator/src/host/listen.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { overSocket } from "../../apps/orchestrator/src/host/socket-client.ts";
import { buildDispatchServer } from "../../apps/orchestrator/src/runs/dispatch-server.ts";
import { createDispatch } from "../../apps/orchestrator/src/runs/dispatch.ts";
import { createRecords } from "../../apps/orchestrator/src/runs/records.ts";
import { connectForCommands } from "../../apps/orchestrator/src/store/connection.ts";
import { createStores } from "../../apps/orchestrator/src/store/stores.ts";
import { makeFolder, startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import { callOver, hello } from "../attack/broker-bench.ts";
import { bootingMachine, queuedRun } from "../attack/records.ts";
import { say, stall } from "../fakes/model/script.ts";
import { createFakeModel, type FakeModel } from "../fakes/model/server.ts";
import type { FakeKey } from "../fakes/openai-admin/keys.ts";
import { createFakeOpenAiAdmin, type FakeOpenAiAdmin } from "../fakes/openai-admin/server.ts";
import { partOf } from "../support/processes.ts";
import { eventually } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { ended, endingOf, label, leave, openPull, published, RUN_MS } from "./scene.ts";

const ADMIN_KEY = "sk-admin-0123456789abcdefghijklmnop";
const PROJECT = "proj_machines";
const ACCOUNT = "svc_mayfly";
const SCOPES = ["api.responses.write", "api.model.read"];
/** Shorter than the attempts are allowed to take, so that it is what a key is told. */
const KEY_SECONDS = 900;
const TASK = "---\ntimeout: 30m\n---\n";
/** The broker looks for keys that are left over once a minute. */
const SWEPT_MS = 150_000;

let admin: FakeOpenAiAdmin;
let world: TestWorld;
/** Keys that were there while the model answered. */
let duringAnswer: readonly string[] = [];

describe("a key of an OpenAI service account for every attempt", () => {
  beforeAll(async () => {
    admin = await createFakeOpenAiAdmin({ adminKey: ADMIN_KEY, project: PROJECT, serviceAccounts: [ACCOUNT] });
    world = await startWorld({
      scripts: [
        {
          when: /Answer at once\./,
          script: () => {
            duringAnswer = present();
            return say("Nothing to report.");
          },
        },
        { when: /Wait until somebody stops you\./, script: [stall(), say("It is too late for this.")] },
      ],
      modelAccess: {
        apiKey: admin.isGood,
        environment: {
          MAYFLY_MODEL_ISSUER: "openai-service-account",
          MAYFLY_MODEL_ADMIN_KEY: ADMIN_KEY,
          MAYFLY_MODEL_ADMIN_URL: admin.url,
          MAYFLY_MODEL_PROJECT: PROJECT,
          MAYFLY_MODEL_SERVICE_ACCOUNT: ACCOUNT,
          MAYFLY_MODEL_SCOPES: SCOPES.join(","),
          MAYFLY_MODEL_KEY_SECONDS: String(KEY_SECONDS),
        },
      },
      // One at a time: two emulated ones fill a small host.
      environment: { MAYFLY_MACHINES_MAX: "1" },
    });
  });

  afterAll(async () => {
    try {
      await leave(world);
    } finally {
      await admin.close();
    }
  });

  it("is made once, with the configured rights and life, and deleted when the attempt is over", async () => {
    const other = admin.add({ name: "somebody else's", serviceAccount: ACCOUNT });
    const { id, view, shown } = await runOnce("answered", "Answer at once.");
    expect(endingOf(view)).toMatchObject({ outcome: "succeeded", code: "answered" });
    const made = keysOf(id);
    expect(made).toMatchObject([{ name: `mayfly-${id}-1`, serviceAccount: ACCOUNT, scopes: SCOPES, isDeleted: true }]);
    const [key] = made;
    expect((key?.expiresAt ?? 0) - (key?.createdAt ?? 0)).toBe(KEY_SECONDS);
    expect(duringAnswer).toContain(key?.value);
    const sent = (world.model?.requests ?? []).map(({ headers }) => headers.authorization);
    expect(new Set(sent)).toEqual(new Set([`Bearer ${key?.value}`]));
    expect(other.isDeleted).toBe(false);
    await leavesNoTrace(shown, made);
  });

  it("is found and deleted although the broker that made it was killed", async () => {
    const pull = await openPull(world, { name: "killed", task: `${TASK}Wait until somebody stops you.\n` });
    const before = world.model?.requests.length ?? 0;
    const id = await label(world, pull);
    await eventually(
      async () => ((world.model?.requests.length ?? 0) > before ? true : null),
      RUN_MS,
      async () => JSON.stringify((await world.control.view(id)).run),
    );
    const [left] = keysOf(id);
    expect(left).toMatchObject({ name: `mayfly-${id}-1`, isDeleted: false });
    const broker = await partOf(world, "broker");
    process.kill(broker.pid, "SIGKILL");
    await world.control.cancel(id);
    const view = await ended(world, id, RUN_MS);
    expect(endingOf(view).outcome).toBe("cancelled");
    await eventually(
      async () => (keysOf(id).every(({ isDeleted }) => isDeleted) ? true : null),
      SWEPT_MS,
      async () => JSON.stringify(keysOf(id)),
    );
    expect((await partOf(world, "broker")).pid).not.toBe(broker.pid);
    expect(world.service().log()).toContain("a model key that was left over is deleted");
    await leavesNoTrace([view, published(world, pull, id)], keysOf(id));
  });

  it("gives neither OpenAI nor the model anything to complain about", () => {
    expect(admin.violations).toEqual([]);
    expect(world.model?.violations).toEqual([]);
  });
});

describe("an endpoint of its own with a key in a header of its own", () => {
  const key = "not-a-key-of-openai-0123456789";
  let redis: TestRedis;
  let model: FakeModel;
  let broker: Broker;
  let dispatch: ReturnType<typeof buildDispatchServer>;
  let connection: ReturnType<typeof connectForCommands>;
  let folder: string;
  let store: Store;

  /** The broker as it is put together for the real service, told what the settings say; the test speaks as a machine. */
  beforeAll(async () => {
    redis = await startTestRedis();
    model = await createFakeModel({ apiKey: key, keyHeader: "api-key", script: [say("Fine.")] });
    folder = await makeFolder();
    const parsed = parseConfig({
      environment: {
        MAYFLY_STATE_DIR: folder,
        MAYFLY_MODEL_ISSUER: "compatible",
        OPENAI_BASE_URL: model.url,
        OPENAI_API_KEY: key,
        MAYFLY_MODEL_HEADER: "api-key",
      },
    });
    if (!parsed.ok || parsed.config.model.issuer === null) {
      throw new Error(`the settings are refused: ${JSON.stringify(parsed)}`);
    }
    const { config } = parsed;
    const clock = { now: () => Date.now() };
    const { log } = createLog({ level: "silent" });
    connection = connectForCommands(redis.address);
    ({ store } = createStores({ redis: connection, clock }));
    const records = createRecords({ store, clock });
    const wakeups = {
      wakeRun: async () => undefined,
      wakeMachine: async () => undefined,
      wakeLaunch: async () => undefined,
    };
    const recheck = async () => null;
    dispatch = buildDispatchServer(
      createDispatch({ store, records, wakeups, clock, ids: randomIds, recheck, perInstallationMax: null }),
    );
    await listenOnSocket(dispatch, join(folder, "dispatch.sock"), "own uid");
    broker = await buildBroker({
      sharedDir: folder,
      redis: redis.address,
      worker: overSocket(join(folder, "dispatch.sock")),
      channelFolder: (machine) => join(folder, machine),
      model: { ...config.model, issuer: parsed.config.model.issuer },
      budgets: config.budgets,
      setupHosts: [],
      clock,
      ids: randomIds,
      log,
    });
  });

  afterAll(async () => {
    await broker.close();
    await dispatch.close();
    await model.close();
    connection.disconnect();
    await redis.end();
    await rm(folder, { recursive: true, force: true });
  });

  it("is shown that header and no other, and the machine sees neither", async () => {
    const now = Date.now();
    const machine = bootingMachine(now);
    await store.commit([{ kind: "run", value: queuedRun(now), version: 0 }]);
    await store.commit([{ kind: "machine", value: machine, version: 0 }]);
    await mkdir(join(folder, machine.id));
    const opened = await broker.control.inject({ method: "POST", url: `/channels/${machine.id}/open` });
    expect(opened.statusCode).toBe(200);
    const socket = join(folder, machine.id, "broker.sock");

    const claimed = await callOver(socket, { path: "/v1/claim", body: hello });
    const { capability } = claimed.body as { capability: string };
    const checks = [{ name: "identity", ok: true, seen: "uid 1001" }];
    const gate = { safety_strategy: "unprivileged-user", checks };
    await callOver(socket, { path: "/v1/gate", token: capability, body: gate });
    const lent = await callOver(socket, { path: "/v1/key", token: capability });
    const { key: token } = lent.body as { key: string };
    const input = [{ type: "message", role: "user", content: [{ type: "input_text", text: "Hello." }] }];
    const body = { model: "gpt-5.5", input, stream: true, store: false };
    const answer = await callOver(socket, { path: "/v1/responses", token, body, headers: { "api-key": "mine" } });

    expect(answer.status).toBe(200);
    expect(answer.text).toContain("Fine.");
    expect(model.violations).toEqual([]);
    const [sent] = model.requests;
    expect(sent?.headers["api-key"]).toBe(key);
    expect(sent?.headers.authorization).toBeUndefined();
    expect(JSON.stringify(sent)).not.toContain(token);
    expect(JSON.stringify([claimed, lent, answer])).not.toContain(key);
  });

  it("has its key found in whatever is about to be published", async () => {
    const asked = await broker.control.inject({
      method: "POST",
      url: "/find-secrets",
      payload: { texts: ["harmless", `it is ${btoa(key)}`] },
    });
    expect(asked.json()).toEqual({ found: [{ kind: "known value", form: "base64" }] });
  });
});

async function runOnce(name: string, prompt: string): Promise<{ id: string; view: RunView; shown: unknown }> {
  const pull = await openPull(world, { name, task: `${TASK}${prompt}\n` });
  const id = await label(world, pull);
  const view = await ended(world, id, RUN_MS);
  return { id, view, shown: [view, published(world, pull, id)] };
}

function keysOf(run: string): FakeKey[] {
  return admin.keys.filter(({ name }) => name.startsWith(`mayfly-${run}-`));
}

function present(): string[] {
  return admin.present().map(({ value }) => value);
}

/** Neither the keys nor the one that makes them stand in anything shown, kept or logged; their ids only in the log. */
async function leavesNoTrace(shown: unknown, keys: readonly FakeKey[]): Promise<void> {
  const archive = join(world.stateDir, "archive");
  const files = await readdir(archive, { recursive: true });
  const kept = await Promise.all(files.map((name) => readFile(join(archive, name), "utf8").catch(() => "")));
  expect(files.length).toBeGreaterThan(0);
  const left = JSON.stringify([shown, kept]);
  const log = world.service().log();
  for (const { id, value } of keys) {
    expect(left).not.toContain(id);
    expect(left).not.toContain(value);
    expect(log).not.toContain(value);
  }
  expect(left + log).not.toContain(ADMIN_KEY);
}
