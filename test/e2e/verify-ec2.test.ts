import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostEnvironment } from "../support/host-environment.ts";
import { loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { type Ec2Fake, startEc2Fake } from "../fakes/ec2/server.ts";
import { addTemplate, createTestClient } from "../fakes/ec2/testing.ts";
import { createEc2Guests, type Ec2Guests } from "../support/ec2-guests.ts";
import { makeStateDir, processesNaming } from "../support/service.ts";
import { freePort } from "../support/free-port.ts";

const main = fileURLToPath(new URL("../../apps/orchestrator/src/main.ts", import.meta.url));
/** An image that must be built first takes minutes on a small host. */
const START_MS = 15 * 60_000;
/** A guest without KVM boots and proves its confinement in a minute; EC2's listing is believed after another. */
const VERIFY_MS = 8 * 60_000;

let state: Awaited<ReturnType<typeof makeStateDir>>;
let ec2: Ec2Fake;
let guests: Ec2Guests;
let environment: Record<string, string>;

beforeAll(async () => {
  state = await makeStateDir();
  // As `mayfly serve` made them, before the image was built.
  await loadDoorKeys(`${state.path}/broker/door`, Date.now());
  const port = await freePort();
  guests = await createEc2Guests({ port, pins, onPowerOff: (id) => powerOff(id) });
  ec2 = await startEc2Fake({
    network: [127, 20],
    onInstance: guests.onInstance,
    pace: { pendingMs: 1_000, terminationMs: 1_000, skippedTerminationMs: 500 },
  });
  ec2.place.group.egress = [{ cidr: "10.0.2.100/32", port: 8443 }];
  ec2.place.image.tags["mayfly:image-digest"] = guests.image.digest;
  environment = await settings(port);
}, START_MS);

afterAll(async () => {
  await ec2.close();
  await state.remove();
});

describe("mayfly verify-ec2 with a real machine", () => {
  it(
    "launches it, lets it in, has it prove its confinement, and leaves nothing",
    { timeout: VERIFY_MS + 60_000 },
    async () => {
      const { code, out, err } = await verify("--json", "--broker", "10.0.2.100:8443");
      const words = `${out}\n${err}\n${guests.consoles().join("\n").slice(-3_000)}`;
      expect({ code, words }).toEqual({ code: 0, words });
      const { ok, checks } = JSON.parse(out) as { ok: boolean; checks: { name: string; ok: boolean; seen: string }[] };
      expect(ok).toBe(true);
      expect(checks.filter((check) => !check.ok)).toEqual([]);
      const seen = Object.fromEntries(checks.map((check) => [check.name, check.seen]));
      expect(seen["enrolment"]).toContain("was let in");
      expect(seen["nothing else is reachable"]).toBe("19 checks from inside, 0 failed");
      expect(seen["gone"]).toMatch(/^\d+ things looked for and absent$/);
      const steps = ["launched:", "enrolled:", "it has looked from inside"];
      expect(steps.map((step) => err.includes(step))).toEqual([true, true, true]);

      expect(ec2.state.instances()).toHaveLength(1);
      expect(ec2.state.instances()[0]?.tags["mayfly:fleet"]).toBe("blue-verify");
      expect(ec2.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
      for (const { id } of ec2.state.instances()) {
        expect(await processesNaming(id)).toEqual([]);
      }
      expect(ec2.violations).toEqual([]);
    },
  );
});

/** As typed, with no key of a model and nothing of GitHub. */
function verify(...flags: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [main, "verify-ec2", ...flags],
      { env: environment, timeout: VERIFY_MS },
      (error, out, err) => resolve({ code: error === null ? 0 : (child.exitCode ?? -1), out, err }),
    );
  });
}

async function settings(port: number): Promise<Record<string, string>> {
  const client = createTestClient(ec2);
  const template = await addTemplate(client, ec2);
  client.destroy();
  const { place, credentials } = ec2;
  return {
    ...hostEnvironment(),
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    MAYFLY_STATE_DIR: state.path,
    MAYFLY_PROVIDER: "ec2",
    MAYFLY_EC2_NAME: "blue",
    MAYFLY_EC2_REGION: ec2.region,
    MAYFLY_EC2_ENDPOINT: ec2.url,
    MAYFLY_EC2_LAUNCH_TEMPLATE: template,
    MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION: "1",
    MAYFLY_EC2_IMAGE_DIGEST: guests.image.digest,
    MAYFLY_EC2_SUBNETS: place.subnets.map(({ id }) => id).join(","),
    MAYFLY_EC2_INSTANCE_TYPES: "m7i.large,m7a.large",
    MAYFLY_LISTEN_MACHINES_HOST: "127.0.0.1",
    MAYFLY_LISTEN_MACHINES_PORT: String(port),
  };
}

async function pins(): Promise<string> {
  return (await readFile(`${state.path}/broker/door/pins`, "utf8")).trim();
}

/** A guest that ends by itself: the instance goes with it, unless it was terminated meanwhile. */
function powerOff(instance: string): void {
  if (ec2.state.instances().some(({ id, phase }) => id === instance && (phase === "running" || phase === "pending"))) {
    ec2.powerOff(instance);
  }
}
