import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateFleetCommand } from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createProgram } from "../../apps/orchestrator/src/cli/program.ts";
import { readPlan, requestOf } from "../../apps/orchestrator/src/fleet/providers/ec2/launch-request.ts";
import { type Ec2World, fleet, openEc2World } from "../contract/provider/ec2-world.ts";
import { createTestTerminal } from "../support/test-terminal.ts";
import type { Examined } from "./bench.ts";

/** A deadline beside which the day of the test does not matter. */
const PAST = Date.parse("2001-01-01T00:00:00.000Z");
const BROKER = { cidr: "10.0.1.10/32", port: 8443 };

let folder: string;
let world: Ec2World;
let environment: Record<string, string>;
let denied: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mf-"));
  denied = "";
  world = await openEc2World({
    authorize: ({ action }) => action !== denied,
    violations: /SignatureDoesNotMatch/,
  });
  const { fake } = world;
  fake.place.group.egress = [BROKER];
  const { launchTemplate, image, subnets, instanceTypes } = world.config;
  environment = {
    HOME: "/nowhere",
    MAYFLY_STATE_DIR: join(folder, "state"),
    MAYFLY_ROLES: "worker",
    MAYFLY_PROVIDER: "ec2",
    MAYFLY_REDIS_URL: "redis://127.0.0.1:1",
    MAYFLY_SHARED_DIR: join(folder, "shared"),
    MAYFLY_EC2_NAME: fleet,
    MAYFLY_EC2_REGION: fake.region,
    MAYFLY_EC2_ENDPOINT: fake.url,
    MAYFLY_EC2_LAUNCH_TEMPLATE: launchTemplate.id,
    MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION: String(launchTemplate.version),
    MAYFLY_EC2_IMAGE_DIGEST: image,
    MAYFLY_EC2_SUBNETS: subnets.join(","),
    MAYFLY_EC2_INSTANCE_TYPES: instanceTypes.join(","),
  };
  vi.stubEnv("AWS_ACCESS_KEY_ID", fake.credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", fake.credentials.secretAccessKey);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

async function mayfly(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const { terminal, said } = createTestTerminal({ env: environment });
  const code = await createProgram(terminal, argv);
  return { code, ...said() };
}

async function ec2Checks(): Promise<Examined[]> {
  const { out } = await mayfly("doctor", "--json");
  return (JSON.parse(out) as { checks: Examined[] }).checks.filter(({ name }) => name.startsWith("ec2 "));
}

describe("the commands of the guide for AWS, in its order", () => {
  it("find an account as it should be, and remove what is overdue", { timeout: 120_000 }, async () => {
    const overdue = { ...world.intend(1), deadline: PAST };
    await world.ec2.send(new CreateFleetCommand(requestOf(overdue, readPlan(overdue.plan))));
    const checks = await ec2Checks();
    expect(checks.map(({ name, status }) => [name, status])).toEqual(
      [
        "credentials",
        "launch template",
        "subnets",
        "resolver",
        "routes",
        "security group",
        "instance types",
        "right to launch",
        "right to end",
      ].map((name) => [`ec2 ${name}`, "ok"]),
    );
    expect(world.fake.state.instances()).toHaveLength(1);

    const verified = await mayfly("verify-ec2", "--dry-run", "--json", "--broker", "10.0.1.10:8443");
    expect({ code: verified.code, out: verified.out }).toEqual({ code: 0, out: verified.out });

    const [machine] = world.fake.state.instances();
    const shown = await mayfly("fleet", "sweep", "--dry-run");
    expect([shown.code, shown.out]).toEqual([0, `overdue  ${machine?.id}\n`]);
    const swept = await mayfly("fleet", "sweep");
    expect([swept.code, swept.out]).toEqual([0, `removed  ${machine?.id}\n`]);
    expect(world.fake.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
    expect(world.fake.violations).toEqual([]);
  });
});

describe("mayfly doctor on EC2", () => {
  it("asks nothing more of an account whose credentials are wrong", async () => {
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "wrong-0123456789");
    const [first, ...rest] = await ec2Checks();
    expect(first).toMatchObject({
      name: "ec2 credentials",
      status: "fail",
      fixes: [expect.stringContaining("check the credentials")],
    });
    expect(new Set(rest.map(({ status }) => status))).toEqual(new Set(["skipped"]));
  });

  it("names what a role may not, and a template of another image, with their fixes", async () => {
    denied = "RunInstances";
    environment["MAYFLY_EC2_IMAGE_DIGEST"] = `sha256:${"2".repeat(64)}`;
    const checks = await ec2Checks();
    const failed = checks.filter(({ status }) => status === "fail");
    expect(failed.map(({ name }) => name)).toEqual(["ec2 launch template", "ec2 right to launch"]);
    expect(failed.flatMap(({ fixes }) => fixes).join("\n")).toMatch(/image_digest[^]*rights of a host/);
    expect(world.fake.state.instances()).toEqual([]);
  });
});
