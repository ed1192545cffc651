import { randomBytes } from "node:crypto";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Receipt } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectForCommands, waitUntilReady } from "../../apps/orchestrator/src/store/connection.ts";
import { addTemplate, createTestClient } from "../fakes/ec2/testing.ts";
import { type Ec2Fake, startEc2Fake } from "../fakes/ec2/server.ts";
import { createFakeGitHub, type FakeGitHub } from "../fakes/github/server.ts";
import { run, say, stall } from "../fakes/model/script.ts";
import { createFakeModel, type FakeModel } from "../fakes/model/server.ts";
import { createEc2Guests, type Ec2Guests } from "../support/ec2-guests.ts";
import { freePort } from "../support/free-port.ts";
import { type Balancer, type Host, startBalancer, startHost, startSharedRedis } from "../support/hosts.ts";
import { controlOf, eventually, makeStateDir, processesNaming } from "../support/service.ts";
import type { TestWorld } from "../support/world.ts";
import {
  ended,
  endingOf,
  expectGoodManners,
  label,
  mayfly,
  noMachineLeft,
  openPull,
  published,
  RUN_MS,
} from "./scene.ts";

const TASK = "---\ntimeout: 10m\n---\nReview what this pull request changes.\n";
const SAID = "Said by way of the hosts that were left.";
/** Long enough for hosts to fail meanwhile, and for those that are left to notice. */
const AT_WORK_S = 25;
/** An image that must be built first takes minutes on a small host. */
const START_MS = 15 * 60_000;
/** EC2's listing is believed a minute after a launch at the earliest; a host that failed is missed for some seconds more. */
const LONG_RUN_MS = RUN_MS + 120_000;
const MORE_MS = 60_000;
const GONE_MS = 30_000;

interface Hosts {
  readonly intake: Host;
  readonly web: Host;
  readonly workers: readonly [Host, Host];
  /** By the ports of their doors. */
  readonly brokers: ReadonlyMap<number, Host>;
}

const webhookSecret = randomBytes(20).toString("hex");
const modelKey = `sk-test-${randomBytes(24).toString("hex")}`;
let ec2: Ec2Fake;
let guests: Ec2Guests;
let github: FakeGitHub;
let model: FakeModel;
let redis: Awaited<ReturnType<typeof startSharedRedis>>;
let shared: Awaited<ReturnType<typeof makeStateDir>>;
let balancer: Balancer;
let hosts: Hosts;
/** Every one that was asked for: where one does not start, the others are there to be stopped. */
const starting: Promise<Host>[] = [];
let world: TestWorld;
/** Whether the model answers the next run's first call with the beginning of an answer alone. */
let isHeld = false;

beforeAll(async () => {
  const port = await freePort();
  const doors = [await freePort(), await freePort()] as const;
  shared = await makeStateDir();
  redis = await startSharedRedis();
  balancer = await startBalancer(port, doors);
  guests = await createEc2Guests({ port, pins, onPowerOff: (id) => ec2.powerOff(id) });
  ec2 = await startEc2Fake({
    network: [127, 21],
    onInstance: guests.onInstance,
    pace: { pendingMs: 1_000, terminationMs: 1_000, skippedTerminationMs: 500 },
  });
  ec2.place.image.tags["mayfly:image-digest"] = guests.image.digest;
  github = await createFakeGitHub({ webhookSecret });
  model = await createFakeModel({
    apiKey: modelKey,
    script: ({ step }) =>
      isHeld
        ? [stall({ times: 1 }), say(SAID)]
        : step === 0
          ? run(`sleep ${AT_WORK_S}`, { yieldTimeMs: 60_000 })
          : say(SAID),
  });
  hosts = await startHosts(doors);
  github.setWebhook({ url: hosts.intake.service.addresses.webhook });
  world = worldOf(hosts);
}, START_MS);

afterAll(async () => {
  try {
    const starts = await Promise.allSettled(starting);
    const started = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
    await Promise.all(started.map((host) => host.stop()));
  } finally {
    await Promise.all([github.close(), model.close(), ec2.close(), balancer.close(), redis.stop()]);
    await Promise.all([rm(keyFile(), { force: true }), shared.remove()]);
  }
}, 120_000);

describe("a service on several hosts", () => {
  it("says of each host what it is and that it is ready, and opens no more than that", async () => {
    const { intake, web, workers, brokers } = hosts;
    const said = [intake, web, ...workers, ...brokers.values()].map(({ service }) => service.addresses);
    expect(said).toMatchObject([
      { roles: ["intake"], control: null, provider: null },
      { roles: ["web"], webhook: null, provider: null },
      { roles: ["worker"], webhook: null, control: null, provider: "ec2" },
      { roles: ["worker"], webhook: null, control: null, provider: "ec2" },
      { roles: ["broker"], webhook: null, control: null, provider: null },
      { roles: ["broker"], webhook: null, control: null, provider: null },
    ]);
    for (const { internal, roles } of said as unknown as { internal: string; roles: string[] }[]) {
      const answer = await fetch(`${internal}/readyz`);
      expect([answer.status, await answer.json()]).toEqual([200, { ready: true, roles, machines: 0 }]);
    }
    for (const host of [intake, web, ...brokers.values()]) {
      await expect(stat(join(host.stateDir, "signer-door", "signer.sock"))).rejects.toMatchObject({ code: "ENOENT" });
    }
  });

  it("refuses roles that cannot be where they are put, and says what would do", async () => {
    const environment = { MAYFLY_STATE_DIR: join(shared.path, "none") };
    const unknown = await mayfly(["serve", "--roles", "intake,brocker"], environment);
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("intake, worker, broker or web")]);
    const alone = await mayfly(["serve", "--roles", "worker"], { ...environment, MAYFLY_REDIS_URL: redis.url });
    expect([alone.code, alone.stderr]).toEqual([2, expect.stringContaining("add broker")]);
  });

  it("refuses a host whose folder is not the others', though its settings are good", async () => {
    const state = await makeStateDir();
    try {
      const refused = await mayfly(["serve", "--roles", "web"], {
        MAYFLY_STATE_DIR: state.path,
        MAYFLY_SHARED_DIR: join(state.path, "shared"),
        MAYFLY_REDIS_URL: redis.url,
        MAYFLY_LISTEN_INTERNAL_PORT: "0",
      });
      expect([refused.code, refused.stderr]).toEqual([
        2,
        expect.stringContaining("set shared_dir (MAYFLY_SHARED_DIR)"),
      ]);
    } finally {
      await state.remove();
    }
  });

  it(
    "brings a run to its end when one worker and the machine's broker fail in its midst",
    { timeout: RUN_MS + LONG_RUN_MS + MORE_MS },
    async () => {
      const pull = await openPull(world, { name: "spread", task: TASK });
      const id = await label(world, pull);
      await heard(
        eventually(
          async () => (model.requests.length > 0 ? true : null),
          RUN_MS,
          async () => JSON.stringify(await world.control.view(id).catch(() => null)).slice(0, 2_000),
        ),
      );
      const failed = balancer.last();
      const kept = [...hosts.brokers.keys()].find((port) => port !== failed);
      const before = balancer.given.get(kept ?? 0) ?? 0;
      await Promise.all([hosts.workers[0].fail(), hosts.brokers.get(failed ?? 0)?.fail()]);

      const view = await heard(ended(world, id, LONG_RUN_MS));
      expect(endingOf(view)).toMatchObject({ outcome: "succeeded", code: "answered" });
      const { comment, check } = published(world, pull, id);
      expect(comment.body).toContain(SAID);
      expect(check.conclusion).toBe("success");
      // One machine spoke to both brokers, and the run is still its first attempt's.
      expect(balancer.given.get(kept ?? 0) ?? 0).toBeGreaterThan(before);
      const receipt = view.receipt as Receipt;
      expect(receipt).toMatchObject({ attempts: 1, outcome: "succeeded" });
      expect(receipt.machines.flatMap(({ evidence }) => evidence).filter(({ absent }) => !absent)).toEqual([]);
      const verified = await mayfly(["receipt", "verify", id], { MAYFLY_STATE_DIR: shared.path });
      expect([verified.code, verified.stderr]).toEqual([0, ""]);

      await noMachineLeft(world);
      expect(ec2.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
      for (const instance of ec2.state.instances()) {
        expect(await processesNaming(instance.id)).toEqual([]);
      }
      expect(ec2.violations).toEqual([]);
      expectGoodManners(world);
    },
  );

  it(
    "ends the channel and the model call of a broker whose Redis hangs, and brings the run to its end once it answers",
    { timeout: RUN_MS + LONG_RUN_MS + MORE_MS },
    async () => {
      const { url } = brokerLeft();
      isHeld = true;
      const before = model.requests.length;
      const pull = await openPull(world, { name: "held", task: TASK });
      const id = await label(world, pull);
      const call = await heard(
        eventually(
          async () => model.requests.slice(before).find(({ status }) => status === 200) ?? null,
          RUN_MS,
          async () => JSON.stringify(await world.control.view(id).catch(() => null)).slice(0, 2_000),
        ),
      );
      const channel = balancer.connections();
      expect([channel.length > 0, call.isAborted]).toEqual([true, false]);
      redis.freeze();
      try {
        await heard(
          eventually(
            async () => (call.isAborted && channel.every(({ destroyed }) => destroyed) ? true : null),
            GONE_MS,
            async () => `call ended: ${call.isAborted}; open: ${channel.filter(({ destroyed }) => !destroyed).length}`,
          ),
        );
        expect(await readinessOf(url, 503)).toMatchObject({ ready: false, reason: "the store does not answer" });
      } finally {
        redis.thaw();
      }
      expect(await readinessOf(url, 200)).toMatchObject({ ready: true, roles: ["broker"] });
      const view = await heard(ended(world, id, LONG_RUN_MS));
      expect(endingOf(view)).toMatchObject({ outcome: "succeeded", code: "answered" });
      expect(published(world, pull, id).comment.body).toContain(SAID);
      await noMachineLeft(world);
      expect(ec2.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
    },
  );

  it("says of every host that it is not ready while Redis is a replica, which answers and takes no write", async () => {
    const operator = connectForCommands({ url: redis.url });
    const all = [hosts.intake, hosts.web, hosts.workers[1]].map(({ service }) => service.addresses.internal);
    const urls = [...all, brokerLeft().url];
    try {
      await waitUntilReady(operator, GONE_MS);
      // Of nobody there.
      await operator.replicaof("127.0.0.1", 1);
      const said = await Promise.all(urls.map((url) => readinessOf(url, 503)));
      expect(said.map((one) => (one as { reason: unknown }).reason)).toEqual(
        urls.map(() => "the store takes no write"),
      );
      await operator.replicaof("NO", "ONE");
      await Promise.all(urls.map((url) => readinessOf(url, 200)));
    } finally {
      operator.disconnect();
    }
  });

  it("loses no machine to a broker that is cut off: it says that it is not ready, and ends its channels", async () => {
    const { host, url } = brokerLeft();
    const words = "this broker ends its channels";
    const saidBefore = host.service.log().split(words).length;
    await redis.stop();
    expect(await readinessOf(url, 503)).toMatchObject({
      ready: false,
      roles: ["broker"],
      reason: "the store does not answer",
    });
    await eventually(
      async () => (host.service.log().split(words).length > saidBefore ? true : null),
      GONE_MS,
      async () => host.service.log().slice(-2_000),
    );
  });
});

/** The one that has not failed, and where it says how it is. */
function brokerLeft(): { host: Host; url: string } {
  const host = [...hosts.brokers.values()].find(({ service }) => service.process.signalCode === null);
  if (host === undefined) {
    throw new Error("no broker is left");
  }
  return { host, url: host.service.addresses.internal };
}

/** What a host says of itself once it answers with that status. */
function readinessOf(url: string, status: number): Promise<unknown> {
  return eventually(
    async () => {
      const answer = await fetch(`${url}/readyz`);
      return answer.status === status ? await answer.json() : null;
    },
    GONE_MS,
    async () => (await fetch(`${url}/readyz`)).text(),
  );
}

/** Each is given what its roles need and nothing else. */
async function startHosts(doors: readonly [number, number]): Promise<Hosts> {
  await writeFile(keyFile(), github.privateKeyPem ?? "", { mode: 0o600 });
  const common = {
    MAYFLY_REDIS_URL: redis.url,
    MAYFLY_SHARED_DIR: shared.path,
    MAYFLY_GITHUB_URL: github.url,
    MAYFLY_GITHUB_WEB_URL: github.url,
    MAYFLY_GITHUB_GIT_URL: github.gitUrl,
    MAYFLY_LISTEN_WEBHOOK_PORT: "0",
    MAYFLY_LISTEN_INTERNAL_PORT: "0",
    ...(await fleetSettings()),
  };
  const start = (settings: Parameters<typeof startHost>[0]) => {
    const host = startHost(settings);
    starting.push(host);
    return host;
  };
  const worker = {
    ...common,
    MAYFLY_ROLES: "worker",
    MAYFLY_GITHUB_APP_ID: String(github.appId),
    MAYFLY_GITHUB_PRIVATE_KEY_FILE: keyFile(),
    AWS_ACCESS_KEY_ID: ec2.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: ec2.credentials.secretAccessKey,
  };
  const brokerAt = (door: number) => ({
    ...common,
    MAYFLY_ROLES: "broker",
    OPENAI_API_KEY: modelKey,
    OPENAI_BASE_URL: model.url,
    MAYFLY_LISTEN_MACHINES_HOST: "127.0.0.1",
    MAYFLY_LISTEN_MACHINES_PORT: String(door),
  });
  const [intake, web] = await Promise.all([
    start({ ...common, MAYFLY_ROLES: "intake", MAYFLY_WEBHOOK_SECRET: webhookSecret }),
    start({ ...common, MAYFLY_ROLES: "web" }),
  ]);
  const [one, other] = await Promise.all(doors.map((door) => start(brokerAt(door))));
  const workers = await Promise.all([start(worker), start(worker)]);
  if (one === undefined || other === undefined) {
    throw new Error("there is no broker");
  }
  return { intake, web, workers, brokers: new Map([[doors[0], one] as const, [doors[1], other] as const]) };
}

async function fleetSettings(): Promise<Record<string, string>> {
  const client = createTestClient(ec2);
  const template = await addTemplate(client, ec2);
  client.destroy();
  return {
    MAYFLY_PROVIDER: "ec2",
    MAYFLY_EC2_NAME: "roles",
    MAYFLY_EC2_REGION: ec2.region,
    MAYFLY_EC2_ENDPOINT: ec2.url,
    MAYFLY_EC2_LAUNCH_TEMPLATE: template,
    MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION: "1",
    MAYFLY_EC2_IMAGE_DIGEST: guests.image.digest,
    MAYFLY_EC2_SUBNETS: ec2.place.subnets.map((subnet) => subnet.id).join(","),
    MAYFLY_EC2_INSTANCE_TYPES: "m7i.large,m7a.large",
  };
}

/** What the steps of other tests ask for: here the host that answers operators. */
function worldOf({ web }: Hosts): TestWorld {
  const control = controlOf(web.stateDir);
  return {
    github,
    model,
    stateDir: web.stateDir,
    modelKey,
    control,
    service: () => web.service,
    restart: async () => undefined,
    nextRun: (before) =>
      eventually(
        async () => {
          const runs = await control.list();
          return runs.length > before ? (runs[0]?.id ?? null) : null;
        },
        MORE_MS,
        async () => logs(),
      ),
    close: async () => undefined,
  };
}

function keyFile(): string {
  return `${shared.path}.pem`;
}

/** What both brokers are known by: whichever made it. */
async function pins(): Promise<string> {
  return (await readFile(join(shared.path, "broker/door/pins"), "utf8")).trim();
}

function logs(): string {
  const all = [hosts.intake, ...hosts.workers, ...hosts.brokers.values()];
  return all.map(({ service }) => `${JSON.stringify(service.addresses)}\n${service.log().slice(-3_000)}`).join("\n");
}

/** With everybody's last words, if it does not happen. */
function heard<T>(what: Promise<T>): Promise<T> {
  return what.catch((cause: unknown) => {
    const words = guests.consoles().map((text) => text.slice(-2_000));
    throw new Error(`${String(cause)}\nguests: ${JSON.stringify(words)}\n${logs()}`, { cause });
  });
}
