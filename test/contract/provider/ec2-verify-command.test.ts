import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateLaunchTemplateCommand } from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loadDoorKeys } from "../../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { verifyEc2 } from "../../../apps/orchestrator/src/cli/verify-ec2.ts";
import { createProgram } from "../../../apps/orchestrator/src/cli/program.ts";
import type { Terminal } from "../../../apps/orchestrator/src/cli/terminal.ts";
import type { Authorize } from "../../fakes/ec2/front.ts";
import { type Ec2Fake, startEc2Fake } from "../../fakes/ec2/server.ts";
import { addTemplate, createTestClient, strictTemplate } from "../../fakes/ec2/testing.ts";
import { createTestTerminal } from "../../support/test-terminal.ts";

const DIGEST = `sha256:${"1".repeat(64)}`;
const BROKER = { cidr: "10.0.1.10/32", port: 8443 };

interface Document {
  readonly ok: boolean;
  readonly checks: readonly { name: string; ok: boolean; seen: string; fixes: string[] }[];
}

let state: string;
let fake: Ec2Fake;
let environment: Record<string, string>;
let denied: string;
let stop: () => void;
/** Ctrl-C as soon as this is said. */
let stopsAt: string | null;

beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), "mayfly-verify-"));
  denied = "";
  stopsAt = null;
  const authorize: Authorize = ({ action }) => action !== denied;
  fake = await startEc2Fake({ authorize });
  fake.place.group.egress = [BROKER];
  fake.place.routes.more = [{ DestinationCidrBlock: "10.0.1.0/28", VpcPeeringConnectionId: "pcx-0123456789abcdef0" }];
  const client = createTestClient(fake);
  environment = settings(await addTemplate(client, fake));
  client.destroy();
  vi.stubEnv("AWS_ACCESS_KEY_ID", fake.credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", fake.credentials.secretAccessKey);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await fake.close();
  await rm(state, { recursive: true, force: true });
});

function settings(template: string): Record<string, string> {
  const { place, region, url } = fake;
  return {
    HOME: "/nowhere",
    MAYFLY_STATE_DIR: state,
    MAYFLY_PROVIDER: "ec2",
    MAYFLY_EC2_NAME: "blue",
    MAYFLY_EC2_REGION: region,
    MAYFLY_EC2_ENDPOINT: url,
    MAYFLY_EC2_LAUNCH_TEMPLATE: template,
    MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION: "1",
    MAYFLY_EC2_IMAGE_DIGEST: DIGEST,
    MAYFLY_EC2_SUBNETS: place.subnets.map(({ id }) => id).join(","),
    MAYFLY_EC2_INSTANCE_TYPES: "c7i.xlarge,m7i.large",
    MAYFLY_LISTEN_MACHINES_HOST: "127.0.0.1",
    MAYFLY_LISTEN_MACHINES_PORT: "0",
  };
}

/** A type that is offered, and cannot do something. */
function useType(name: string, lacks: "x86_64" | "uefi" | "ena" | "spot"): void {
  fake.place.types.push({ name, vcpus: 2, memoryMib: 8_192, dollars: 0.1, zones: "abc", lacks });
  environment["MAYFLY_EC2_INSTANCE_TYPES"] = `m7i.large,${name}`;
}

async function verify(...more: string[]): Promise<{ code: number; out: string; err: string; document: Document }> {
  return verifying(more.includes("--json"), (terminal) => createProgram(terminal, ["verify-ec2", ...more]));
}

async function verifying(
  json: boolean,
  run: (terminal: Terminal) => Promise<number>,
): Promise<{ code: number; out: string; err: string; document: Document }> {
  const { terminal, said } = createTestTerminal({
    env: environment,
    onStop: (call) => void (stop = call),
    stderr(text) {
      if (stopsAt !== null && text.includes(stopsAt)) {
        stop();
      }
    },
  });
  const code = await run(terminal);
  const { out, err } = said();
  const document = (json ? JSON.parse(out) : { ok: false, checks: [] }) as Document;
  return { code, out, err, document };
}

const failedOf = ({ checks }: Document) => checks.filter(({ ok }) => !ok);

describe("mayfly verify-ec2 --dry-run", () => {
  it("finds an account as it should be, and changes nothing in it", async () => {
    const { code, document } = await verify("--dry-run", "--json", "--broker", "10.0.1.10:8443");
    expect(failedOf(document)).toEqual([]);
    expect([code, document.ok]).toEqual([0, true]);
    expect(document.checks.map(({ name }) => name)).toEqual([
      "credentials",
      "launch template",
      "subnets",
      "resolver",
      "routes",
      "security group",
      "instance types",
      "right to launch",
      "right to end",
    ]);
    const dryRuns = fake.calls.filter(({ code }) => code === "DryRunOperation").map(({ action }) => action);
    expect(dryRuns).toEqual(["CreateFleet", "RunInstances"]);
    expect(fake.state.instances()).toEqual([]);
    expect(fake.violations).toEqual([]);
  });

  /** What is done to the account, the check that sees it, and the fix it names. */
  const slips: readonly [string, string, RegExp, () => unknown][] = [
    [
      "credentials of somebody else",
      "credentials",
      /check the credentials/,
      () => vi.stubEnv("AWS_SECRET_ACCESS_KEY", "wrong"),
    ],
    ["no right to look at instances", "credentials", /rights of a host/, () => (denied = "DescribeInstances")],
    ["a network with a resolver", "resolver", /--no-enable-dns-support/, () => (fake.place.vpc.dnsSupport = true)],
    [
      "a route to the internet",
      "routes",
      /remove the route/,
      () => fake.place.routes.more.push({ DestinationCidrBlock: "0.0.0.0/0", GatewayId: "igw-0123456789abcdef0" }),
    ],
    [
      "a route to a NAT gateway",
      "routes",
      /remove the route/,
      () => fake.place.routes.more.push({ DestinationCidrBlock: "52.0.0.0/8", NatGatewayId: "nat-0123456789abcdef0" }),
    ],
    [
      "a route to an endpoint",
      "routes",
      /remove the route/,
      () => fake.place.routes.more.push({ DestinationCidrBlock: "52.0.0.0/8", GatewayId: "vpce-0123456789abcdef0" }),
    ],
    ...(
      [
        ["half of the internet", { DestinationCidrBlock: "0.0.0.0/1" }],
        ["the other half", { DestinationCidrBlock: "128.0.0.0/1" }],
        ["half of version 6", { DestinationIpv6CidrBlock: "::/1" }],
        ["a list of prefixes", { DestinationPrefixListId: "pl-0123456789abcdef0" }],
        ["a network that the broker is not in", { DestinationCidrBlock: "10.99.0.0/16" }],
        ["a public network", { DestinationCidrBlock: "52.0.0.0/16" }],
      ] as const
    ).map(
      ([what, destination]) =>
        [
          `a route over a peering to ${what}`,
          "routes",
          /remove the route/,
          () => fake.place.routes.more.push({ ...destination, VpcPeeringConnectionId: "pcx-0123456789abcdef0" }),
        ] as [string, string, RegExp, () => unknown],
    ),
    [
      "a route to an appliance",
      "routes",
      /remove the route/,
      () =>
        fake.place.routes.more.push({
          DestinationCidrBlock: "10.0.1.0/28",
          NetworkInterfaceId: "eni-0123456789abcdef0",
        }),
    ],
    [
      "a table of one subnet's own that leads out",
      "routes",
      /remove the route from rtb-0123456789abcdef1/,
      () =>
        fake.place.ownTables.push({
          id: "rtb-0123456789abcdef1",
          subnets: [fake.place.subnets[1]?.id ?? ""],
          more: [{ DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: "nat-0123456789abcdef0" }],
        }),
    ],
    [
      "a subnet that gives public addresses",
      "subnets",
      /--no-map-public-ip-on-launch/,
      () => fake.place.gifts.set(fake.place.subnets[0]?.id ?? "", "public address"),
    ],
    [
      "a subnet that gives addresses of version 6",
      "subnets",
      /--no-assign-ipv6-address-on-creation/,
      () => fake.place.gifts.set(fake.place.subnets[2]?.id ?? "", "version 6"),
    ],
    ["a type of another processor", "instance types", /remove m7g\.large/, () => useType("m7g.large", "x86_64")],
    ["a type that knows no UEFI", "instance types", /remove m4\.large/, () => useType("m4.large", "uefi")],
    ["a type without ENA", "instance types", /remove m3\.large/, () => useType("m3.large", "ena")],
    ["a type that is no spot machine", "instance types", /remove m1\.large/, () => useType("m1.large", "spot")],
    ["no right to launch from the template", "right to launch", /rights of a host/, () => (denied = "RunInstances")],
    ["a group that lets in", "security group", /remove the ingress/, () => fake.place.group.ingress.push(BROKER)],
    [
      "a group that lets out anywhere",
      "security group",
      /and nothing else/,
      () => fake.place.group.egress.push({ cidr: "0.0.0.0/0", port: 443 }),
    ],
    [
      "a group that does not let out to the broker",
      "security group",
      /allow TCP to 10\.0\.1\.10:8443/,
      () => (fake.place.group.egress = []),
    ],
    [
      "a subnet of another account",
      "subnets",
      /correct the id/,
      () => (environment["MAYFLY_EC2_SUBNETS"] = "subnet-0123456789abcdef0"),
    ],
    [
      "a template that is not there",
      "launch template",
      /correct the id/,
      () => (environment["MAYFLY_EC2_LAUNCH_TEMPLATE"] = "lt-0123456789abcdef0"),
    ],
    [
      "an image of another disk",
      "launch template",
      /image_digest/,
      () => (fake.place.image.tags["mayfly:image-digest"] = `sha256:${"2".repeat(64)}`),
    ],
    [
      "a type that nobody offers there",
      "instance types",
      /remove t2\.nano/,
      () => (environment["MAYFLY_EC2_INSTANCE_TYPES"] = "m7i.large,t2.nano"),
    ],
    ["no right to launch", "right to launch", /rights of a host/, () => (denied = "CreateFleet")],
  ];

  it.each(slips)("names %s and its fix, and launches nothing", async (_what, name, fix, slip) => {
    slip();
    const { code, document } = await verify("--json", "--broker", "10.0.1.10:8443");
    expect(code).toBe(1);
    const failed = failedOf(document).find((check) => check.name === name);
    expect(failed?.fixes.join("\n")).toMatch(fix);
    expect(fake.state.instances()).toEqual([]);
    expect(document.checks.map((check) => check.name)).not.toContain("launch");
  });

  it("counts no main table that no subnet goes by", async () => {
    fake.place.routes.more.push({ DestinationCidrBlock: "0.0.0.0/0", GatewayId: "igw-0123456789abcdef0" });
    const subnets = fake.place.subnets.map(({ id }) => id);
    const peering = { DestinationCidrBlock: "10.0.1.0/28", VpcPeeringConnectionId: "pcx-0123456789abcdef0" };
    fake.place.ownTables.push({ id: "rtb-0123456789abcdef1", subnets, more: [peering] });
    const { document } = await verify("--dry-run", "--json", "--broker", "10.0.1.10:8443");
    expect(failedOf(document)).toEqual([]);
  });

  it("names a template that could put a credential into a machine", async () => {
    const client = createTestClient(fake);
    const data = { ...strictTemplate(fake), IamInstanceProfile: { Name: "admin" } };
    const request = { LaunchTemplateName: "slipped", LaunchTemplateData: data };
    const { LaunchTemplate: made } = await client.send(new CreateLaunchTemplateCommand(request));
    client.destroy();
    environment["MAYFLY_EC2_LAUNCH_TEMPLATE"] = made?.LaunchTemplateId ?? "";
    const { code, out } = await verify();
    expect(code).toBe(1);
    expect(out).toMatch(/FAILED {2}launch template .*an instance profile\n {8}fix: remove IamInstanceProfile/);
    expect(fake.state.instances()).toEqual([]);
  });

  it("refuses a broker that is no address, and settings without a fleet", async () => {
    await expect(verify("--dry-run", "--broker", "broker.example.com:8443")).rejects.toThrow(/--broker/);
    environment = { HOME: "/nowhere" };
    await expect(verify("--dry-run")).rejects.toThrow(/fleet\.ec2 is not complete/);
  });
});

describe("mayfly verify-ec2", () => {
  it("says which key of the broker is missing", async () => {
    await expect(verify()).rejects.toThrow(/server\.key cannot be read/);
    expect(fake.state.instances()).toEqual([]);
  });

  it("leaves nothing when it is stopped while its machine boots", { timeout: 120_000 }, async () => {
    await loadDoorKeys(`${state}/broker/door`, Date.now());
    stopsAt = "launched: ";
    const { code, err } = await verify();
    expect(code).toBe(1);
    expect(fake.state.instances().map(({ blueprint }) => blueprint)).toMatchObject([
      { instanceType: "m7i.large", lifecycle: "on-demand" },
    ]);
    expect(fake.state.instances()[0]?.tags["mayfly:fleet"]).toBe("blue-verify");
    expect(err).toContain("stopping: machines are destroyed first");
    expect(fake.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
    expect(fake.violations).toEqual([]);
  });

  it("says what is left and how to end it when its machine cannot be destroyed", { timeout: 120_000 }, async () => {
    await loadDoorKeys(`${state}/broker/door`, Date.now());
    denied = "TerminateInstances";
    stopsAt = "launched: ";
    const impatient = (terminal: Terminal) => verifyEc2(terminal, { json: true }, { leaveMs: 3_000 });
    const { code, document } = await verifying(true, impatient);
    expect(code).toBe(1);
    const [machine] = fake.state.instances();
    const left = failedOf(document).find(({ name }) => name === "gone");
    expect(left?.seen).toContain(`aws ec2 terminate-instances --region ${fake.region} --instance-ids ${machine?.id}`);
    expect(left?.seen).toContain(`mayfly fleet sweep --name blue-verify --region ${fake.region}`);
    expect(machine?.phase).not.toBe("terminated");

    // And the next one does not begin beside it.
    stopsAt = null;
    const next = await verify("--json");
    expect(failedOf(next.document)).toMatchObject([
      { name: "no other trial", seen: expect.stringContaining(`${machine?.id} of blue-verify is there since 20`) },
    ]);
    expect(fake.state.instances()).toHaveLength(1);
    // Somebody who only looks is not in the way.
    expect(failedOf((await verify("--dry-run", "--json")).document)).toEqual([]);
  });

  it("says why nothing was launched, and leaves nothing", { timeout: 120_000 }, async () => {
    await loadDoorKeys(`${state}/broker/door`, Date.now());
    // After the dry run.
    fake.misbehave("CreateFleet", {
      kind: "refuse",
      code: "InvalidParameterValue",
      message: "The type is not allowed",
    });
    const { code, document } = await verify("--json");
    expect(code).toBe(1);
    expect(failedOf(document)[0]).toMatchObject({
      name: "launch",
      seen: expect.stringContaining("The type is not allowed"),
      fixes: [expect.stringContaining("rights of this role")],
    });
    expect(fake.state.instances()).toEqual([]);
    expect(fake.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
  });
});
