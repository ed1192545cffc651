import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CreateFleetCommand, type EC2Client, type RequestLaunchTemplateData } from "@aws-sdk/client-ec2";
import { parseConfig } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { publisherActions } from "../../infra/cdk/src/image-publisher.fixture.ts";
import { synthesizeMachines } from "../../infra/cdk/src/machines.fixture.ts";
import { type Ec2Fake, startEc2Fake } from "../fakes/ec2/server.ts";
import { addTemplate, createTestClient, fleetRequest } from "../fakes/ec2/testing.ts";

let folder: string;
let launchTemplate: RequestLaunchTemplateData;
let settings: string;
let actions: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-cdk-"));
  ({ launchTemplate, settings, actions } = synthesizeMachines(folder));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("the launch template of the deployment, as EC2 takes it", () => {
  let fake: Ec2Fake;
  let client: EC2Client;

  beforeEach(async () => {
    fake = await startEc2Fake({ throttle: null });
    client = createTestClient(fake);
  });

  afterEach(async () => {
    client.destroy();
    await fake.close();
  });

  it("makes machines with nothing on them but the image", async () => {
    const [nic, ...others] = launchTemplate.NetworkInterfaces ?? [];
    expect(others).toEqual([]);
    // What CloudFormation fills in is the stand-in's here.
    const filled = {
      ...launchTemplate,
      ImageId: fake.place.image.id,
      NetworkInterfaces: [{ ...nic, Groups: [fake.place.group.id] }],
    };
    const template = await addTemplate(client, fake, filled);
    await client.send(new CreateFleetCommand(fleetRequest(fake, template, 1)));
    expect(fake.violations).toEqual([]);
    expect(fake.state.instances()).toMatchObject([
      {
        tags: { "mayfly:fleet": "mayfly" },
        blueprint: {
          keyName: null,
          profile: null,
          userData: null,
          hasPublicAddress: false,
          shutdownBehavior: "terminate",
          metadata: { endpoint: "disabled", tokens: "required" },
        },
      },
    ]);
    const disk = { encrypted: true, deleteOnTermination: true, type: "gp3", initializationRate: 200 };
    expect(fake.state.volumes()).toMatchObject([{ tags: { "mayfly:fleet": "mayfly" }, disk }]);
    expect(fake.state.interfaces()).toMatchObject([{ tags: { "mayfly:fleet": "mayfly" }, publicIp: null }]);
  });
});

describe("the settings file of the deployment", () => {
  it("is one that the service reads, and names the machines' template, subnets and types", () => {
    const environment = {
      MAYFLY_WEBHOOK_SECRET: "sixteen-characters",
      MAYFLY_REDIS_URL: "rediss://:token@cache.example.com:6380",
      OPENAI_API_KEY: "sk-example",
    };
    const read = parseConfig({ file: { name: "mayfly.yaml", text: settings }, environment, isRoot: true });
    expect(read).toMatchObject({
      ok: true,
      config: {
        // The load balancers of both doors are on other hosts: loopback would keep everybody out.
        listen: { webhook: { host: "0.0.0.0", port: 3000 }, machines: { host: "0.0.0.0", port: 9443 } },
        fleet: {
          provider: "ec2",
          machinesMax: 20,
          ec2: {
            fleet: "mayfly",
            region: "eu-central-1",
            launchTemplate: { id: "lt-0123456789abcdef0", version: 7 },
            subnets: ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
          },
        },
      },
    });
  });

  it.each([
    [false, { kind: "file", path: "/run/mayfly-secrets/app.pem" }],
    [true, { kind: "kms", region: "eu-central-1", endpoint: null }],
  ])("say where the App's key is (in KMS: %s)", (appKeyInKms, key) => {
    const { settings: text } = synthesizeMachines(join(folder, String(appKeyInKms)), { appKeyInKms });
    const environment = {
      MAYFLY_WEBHOOK_SECRET: "s".repeat(16),
      MAYFLY_REDIS_URL: "rediss://:token@cache.example.com:6380",
    };
    const read = parseConfig({ file: { name: "mayfly.yaml", text }, environment, isRoot: true });
    expect(read).toMatchObject({ ok: true, config: { github: { app: { key } } } });
  });
});

describe("the settings file of a host that only takes webhooks", () => {
  it("is one that the service reads with the webhook secret alone, and names no App", () => {
    const { frontSettings: text } = synthesizeMachines(join(folder, "front"));
    const environment = {
      MAYFLY_WEBHOOK_SECRET: "sixteen-characters",
      MAYFLY_REDIS_URL: "rediss://:token@cache.example.com:6380",
    };
    const read = parseConfig({ file: { name: "mayfly.yaml", text }, environment, isRoot: true });
    expect(read).toMatchObject({
      ok: true,
      config: { roles: ["intake", "web"], github: { app: null }, sharedDir: "/var/lib/mayfly-shared" },
    });
  });
});

describe("the rights of a host", () => {
  it("are those that the provider asks for, and what EC2 asks for in its name", async () => {
    const asked = (await readProvider()).matchAll(/\b(?:new |paginate)([A-Z]\w+?)(?:Command)?\(/g);
    const calls = [...new Set([...asked].map(([, name]) => `ec2:${name}`))].filter((name) =>
      /^ec2:(?:Create|Describe|Terminate|Delete|Get|Run|Modify)/.test(name),
    );
    expect(calls.length).toBeGreaterThan(4);
    // A fleet request launches and tags with the rights of whoever makes it.
    const implied = ["ec2:RunInstances", "ec2:CreateTags"];
    expect([...actions].toSorted()).toEqual([...new Set([...calls, ...implied])].toSorted());
  });
});

describe("the rights of whoever publishes images", () => {
  it("are those that publishing asks for, and to remove what was published", async () => {
    const asked = (await readSource(/^(?:publish-image|snapshot-upload)\.ts$/)).matchAll(/\bnew ([A-Z]\w+?)Command\(/g);
    const service = (name: string) => (/^(?:Start|Put|Complete)Snapshot/.test(name) ? "ebs" : "ec2");
    const calls = [...new Set([...asked].map(([, name = ""]) => `${service(name)}:${name}`))];
    expect(calls.length).toBeGreaterThan(4);
    // Tags are set with the rights of whoever makes the tagged thing; old images are removed by hand.
    const others = ["ec2:CreateTags", "ec2:DeregisterImage", "ec2:DeleteSnapshot"];
    expect(publisherActions(join(folder, "publisher")).toSorted()).toEqual([...calls, ...others].toSorted());
  });
});

function readProvider(): Promise<string> {
  // Images are published under a role of their own; notices come from another service, whose rights have their rule.
  return readSource(
    /^(?!.*\.(?:test|fixture)\.ts$|(?:publish-image|snapshot-upload|interruption-notices)\.ts$).*\.ts$/,
  );
}

async function readSource(names: RegExp): Promise<string> {
  const source = resolve(import.meta.dirname, "../../apps/orchestrator/src/fleet/providers/ec2");
  const files = (await readdir(source)).filter((file) => names.test(file));
  return (await Promise.all(files.map((file) => readFile(join(source, file), "utf8")))).join("\n");
}
