import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { MachineId, Receipt } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { enrol } from "../../apps/agent/src/enrol.ts";
import { machineIdOf as machineOf } from "../../apps/orchestrator/src/fleet/providers/ec2/machine-id.ts";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import type { FakeInstance } from "../fakes/ec2/world.ts";
import { type Ec2Fake, startEc2Fake } from "../fakes/ec2/server.ts";
import { addTemplate, createTestClient } from "../fakes/ec2/testing.ts";
import { reviewer } from "../fakes/model/reviewer.ts";
import { say, stall } from "../fakes/model/script.ts";
import { createEc2Guests, type Ec2Guests } from "../support/ec2-guests.ts";
import { processesNaming } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { ended, endingOf, label, leave, noMachineLeft, openPull, published, RUN_MS } from "./scene.ts";
import { freePort } from "../support/free-port.ts";

const TASK = "---\ntimeout: 10m\n---\nReview what this pull request changes.\n";
/** The model answers this task the second time only. */
const TWICE = "Say it the second time.";
const SAID = "Said on the second machine.";
const FLEET = "e2e";
/** An image that must be built first takes minutes on a small host. */
const START_MS = 15 * 60_000;
/** EC2's listing is believed a minute after a launch at the earliest, so a machine is not gone before. */
const LAUNCHED_RUN_MS = RUN_MS + 60_000;
/** A second machine is launched while the first is being proved gone. */
const TWO_MACHINES_MS = 2 * LAUNCHED_RUN_MS;
/** A test goes on after its last wait, which has more to say about what went wrong than a test that is cut off. */
const MORE_MS = 60_000;

let ec2: Ec2Fake;
let guests: Ec2Guests;
let world: TestWorld;
let port: number;
/** Model calls of the task that is answered the second time. */
let asked = 0;

beforeAll(async () => {
  port = await freePort();
  guests = await createEc2Guests({ port, pins, onPowerOff: (id) => powerOff(id) });
  // Addresses of this host, so that each guest's connections can come from its own.
  ec2 = await startEc2Fake({
    network: [127, 20],
    onInstance: guests.onInstance,
    pace: { pendingMs: 1_000, terminationMs: 1_000, skippedTerminationMs: 500 },
  });
  ec2.place.image.tags["mayfly:image-digest"] = guests.image.digest;
  const scripts = [{ when: new RegExp(TWICE), script: () => (asked++ === 0 ? stall() : say(SAID)) }];
  world = await startWorld({ script: reviewer, scripts, environment: await settings() });
}, START_MS);

afterAll(async () => {
  try {
    await leave(world);
  } finally {
    await ec2.close();
  }
});

describe("a run on EC2", () => {
  it(
    "goes from the label to the pull request, and leaves nothing at EC2",
    { timeout: LAUNCHED_RUN_MS + MORE_MS },
    async () => {
      const pull = await openPull(world, { name: "cloud", task: TASK });
      const before = ec2.state.callsByAction();
      const id = await label(world, pull);
      const view = await heard(ended(world, id, LAUNCHED_RUN_MS));
      expect(endingOf(view)).toMatchObject({ outcome: "succeeded", code: "answered" });
      const { comment, check } = published(world, pull, id);
      expect(comment.body).toContain("1 file changed, 2 lines added, 0 removed.");
      expect(comment.body).toContain("cloud");
      expect(check.conclusion).toBe("success");

      const receipt = receiptOf(view);
      expect(receipt).toMatchObject({ attempts: 1, outcome: "succeeded", modelCalls: world.model?.requests.length });
      expect(receipt.gate?.checks.filter(({ ok }) => !ok)).toEqual([]);
      expect(receipt.machines).toMatchObject([
        { epoch: 1, provider: "ec2", acceleration: "cloud", image: guests.image.digest },
      ]);
      const { evidence, machine } = only(receipt.machines);
      const { id: instance, privateIp } = only(ec2.state.instances());
      expect(machineOf(instance)).toBe(machine);
      const looked = evidence.map(({ what }) => what.replace(/(vol|eni)-.*/, "$1"));
      expect(looked).toEqual(expect.arrayContaining([`instance ${instance}`, "volume vol", "network interface eni"]));
      expect(evidence.filter(({ absent }) => !absent)).toEqual([]);
      expect(logged("a machine is enrolled")).toMatchObject([{ machine, address: privateIp }]);

      await nothingLeft();
      const calls = callsSince(before);
      expect(calls["CreateFleet"]).toBe(1);
      // One listing every 3 s for as long as a run may take on a slow host.
      expect(calls["DescribeInstances"]).toBeLessThan(LAUNCHED_RUN_MS / 3_000);
    },
  );

  it(
    "is given another machine when somebody shows a second key from the address of its first",
    { timeout: LAUNCHED_RUN_MS + TWO_MACHINES_MS + MORE_MS },
    async () => {
      const pull = await openPull(world, { name: "robbed", task: `---\ntimeout: 10m\n---\n${TWICE}\n` });
      const id = await label(world, pull);
      const machine = await heard(
        world.control
          .waitFor(id, (view) => view.run.phase === "running" && asked > 0, LAUNCHED_RUN_MS)
          .then(attemptedOn),
      );
      const robbed = instanceOf(machine);
      const thief = { host: "127.0.0.1", port, localAddress: robbed.privateIp };
      const refused = enrol({ brokers: [thief], pins: (await pins()).split(",") });
      await expect(refused).rejects.toMatchObject({ kind: "refused", status: 409 });

      const view = await heard(ended(world, id, TWO_MACHINES_MS));
      expect(endingOf(view)).toMatchObject({ outcome: "succeeded", code: "answered" });
      expect(published(world, pull, id).comment.body).toContain(SAID);
      const { machines, attempts } = receiptOf(view);
      expect(attempts).toBe(2);
      expect(machines.map((one) => one.machine)).toEqual([machine, expect.not.stringContaining(machine)]);
      expect(machines.flatMap(({ evidence }) => evidence).filter(({ absent }) => !absent)).toEqual([]);
      // Whether EC2 ends it first or its agent, which is refused from then on, it ends for this.
      expect(logged("a second key was shown for a machine: it is destroyed")).toMatchObject([{ machine }]);
      await nothingLeft();
    },
  );
});

/** EC2's endpoint, a launch template there, and everything of `fleet.ec2`. */
async function settings(): Promise<Record<string, string>> {
  const client = createTestClient(ec2);
  const template = await addTemplate(client, ec2);
  client.destroy();
  const { place, credentials } = ec2;
  return {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    MAYFLY_PROVIDER: "ec2",
    MAYFLY_EC2_NAME: FLEET,
    MAYFLY_EC2_REGION: ec2.region,
    MAYFLY_EC2_ENDPOINT: ec2.url,
    MAYFLY_EC2_LAUNCH_TEMPLATE: template,
    MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION: "1",
    MAYFLY_EC2_IMAGE_DIGEST: guests.image.digest,
    MAYFLY_EC2_SUBNETS: place.subnets.map((subnet) => subnet.id).join(","),
    MAYFLY_EC2_INSTANCE_TYPES: "m7i.large,m7a.large",
    MAYFLY_LISTEN_MACHINES_HOST: "127.0.0.1",
    MAYFLY_LISTEN_MACHINES_PORT: String(port),
  };
}

/** What the broker is known by. Its door is open by the time anything is launched. */
async function pins(): Promise<string> {
  return (await readFile(join(world.stateDir, "broker/door/pins"), "utf8")).trim();
}

/** A guest that ends by itself: the instance goes with it, unless it was terminated meanwhile. */
function powerOff(instance: string): void {
  if (ec2.state.instances().some(({ id, phase }) => id === instance && (phase === "running" || phase === "pending"))) {
    ec2.powerOff(instance);
  }
}

/** With the last words of the guests, if it does not happen. */
function heard<T>(what: Promise<T>): Promise<T> {
  return what.catch((cause: unknown) => {
    const words = guests.consoles().map((text) => text.slice(-2_000));
    const log = world.service().log().slice(-4_000);
    throw new Error(`${String(cause)}\nguests: ${JSON.stringify(words)}\nservice: ${log}`, { cause });
  });
}

/** Nothing here and nothing at EC2, which has nothing to complain about. */
async function nothingLeft(): Promise<void> {
  await noMachineLeft(world);
  expect(ec2.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
  for (const { id } of ec2.state.instances()) {
    expect(await processesNaming(id)).toEqual([]);
  }
  expect(ec2.violations).toEqual([]);
}

function callsSince(before: Readonly<Record<string, number>>): Record<string, number> {
  const now = Object.entries(ec2.state.callsByAction());
  return Object.fromEntries(
    now.map(([action, calls]) => [action, calls - (before[action] ?? 0)] as const).filter(([, calls]) => calls > 0),
  );
}

/** The lines of the service's log with these words. */
function logged(words: string): unknown[] {
  const lines = world.service().log().split("\n");
  return lines.filter((line) => line.includes(JSON.stringify(words))).map((line) => JSON.parse(line) as unknown);
}

function attemptedOn({ run }: RunView): MachineId {
  if (run.phase !== "running") {
    throw new Error(`${run.id} is ${run.phase}`);
  }
  return run.attempt.machine;
}

function instanceOf(machine: MachineId): FakeInstance {
  return only(ec2.state.instances().filter(({ id }) => machineOf(id) === machine));
}

function only<T>(things: readonly T[]): T {
  expect(things).toHaveLength(1);
  return things[0] as T;
}

function receiptOf({ receipt }: RunView): Receipt {
  return receipt as Receipt;
}
