import { CreateLaunchTemplateCommand, type RequestLaunchTemplateData } from "@aws-sdk/client-ec2";
import type { Digest } from "@mayfly/core";
import { afterEach, describe, expect, it } from "vitest";
import {
  createEc2Provider,
  type Ec2Provider,
} from "../../../apps/orchestrator/src/fleet/providers/ec2/ec2-provider.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { strictTemplate } from "../../fakes/ec2/testing.ts";
import { type Ec2World, openEc2World } from "./ec2-world.ts";

const OTHER = `sha256:${"9".repeat(64)}` as Digest;

let world: Ec2World;

afterEach(async () => {
  await world.close();
});

/** The provider with another launch template than the strict one. */
async function providerWith(data: RequestLaunchTemplateData): Promise<{ provider: Ec2Provider; lines: () => string }> {
  const request = { LaunchTemplateName: "slipped", LaunchTemplateData: data };
  const { LaunchTemplate: made } = await world.ec2.send(new CreateLaunchTemplateCommand(request));
  const config = { ...world.config, launchTemplate: { id: made?.LaunchTemplateId ?? "", version: 1 } };
  let text = "";
  const { log } = createLog({ level: "info", write: (line) => void (text += line) });
  const clock = { now: world.now };
  return {
    provider: createEc2Provider({ config, ec2: world.ec2, clock, pause: world.pass, log }),
    lines: () => text,
  };
}

type Slip = (data: RequestLaunchTemplateData) => RequestLaunchTemplateData;

const card = (data: RequestLaunchTemplateData, more: object): RequestLaunchTemplateData => ({
  ...data,
  NetworkInterfaces: [{ ...data.NetworkInterfaces?.[0], ...more }],
});
const disk = (data: RequestLaunchTemplateData, more: object): RequestLaunchTemplateData => ({
  ...data,
  BlockDeviceMappings: [
    {
      ...data.BlockDeviceMappings?.[0],
      Ebs: { ...data.BlockDeviceMappings?.[0]?.Ebs, ...more },
    },
  ],
});

/** One slip each, and what is said of it. */
const slips: readonly [string, RegExp, Slip][] = [
  ["leaves the metadata service on", /metadata service enabled/, ({ MetadataOptions: _off, ...data }) => data],
  ["has an instance profile", /instance profile/, (data) => ({ ...data, IamInstanceProfile: { Name: "admin" } })],
  ["has user data", /user data/, (data) => ({ ...data, UserData: Buffer.from("token").toString("base64") })],
  ["has a key pair", /key pair/, (data) => ({ ...data, KeyName: "operator" })],
  ["stops at a shutdown", /shutdown means stop/, ({ InstanceInitiatedShutdownBehavior: _terminate, ...data }) => data],
  ["protects from termination", /protected from termination/, (data) => ({ ...data, DisableApiTermination: true })],
  ["asks for a public address", /public address/, (data) => card(data, { AssociatePublicIpAddress: true })],
  [
    "leaves a public address to the subnet",
    /public address/,
    (data) => card(data, { AssociatePublicIpAddress: undefined }),
  ],
  ["keeps the interface", /interface outlives/, (data) => card(data, { DeleteOnTermination: false })],
  ["names no security group", /no security group/, (data) => card(data, { Groups: undefined })],
  ["describes no interface", /0 network interfaces/, ({ NetworkInterfaces: _one, ...data }) => data],
  ["has a disk in the clear", /not encrypted/, (data) => disk(data, { Encrypted: false })],
  ["keeps the disk", /disk \/dev\/xvda outlives/, (data) => disk(data, { DeleteOnTermination: false })],
  [
    "fills the disk from a snapshot",
    /disk \/dev\/xvda comes from a snapshot of its own/,
    (data) => disk(data, { SnapshotId: "snap-0123456789abcdef0" }),
  ],
  ["asks for addresses of version 6", /further addresses/, (data) => card(data, { Ipv6AddressCount: 1 })],
  ["asks for more private addresses", /further addresses/, (data) => card(data, { SecondaryPrivateIpAddressCount: 2 })],
  [
    "brings an interface that exists",
    /further addresses/,
    (data) => card(data, { NetworkInterfaceId: "eni-0123456789abcdef0" }),
  ],
  [
    "adds a disk",
    /\/dev\/sdz is not the AMI's own/,
    (data) => ({
      ...data,
      BlockDeviceMappings: [
        ...(data.BlockDeviceMappings ?? []),
        { DeviceName: "/dev/sdz", Ebs: { Encrypted: true, DeleteOnTermination: true, VolumeSize: 1 } },
      ],
    }),
  ],
  [
    "leaves the AMI's disk as it is",
    /\/dev\/xvda is not encrypted/,
    ({ BlockDeviceMappings: _disks, ...data }) => data,
  ],
];

describe("a launch template", () => {
  it.each(slips)("that %s is refused, and nothing is launched", async (_what, said, slip) => {
    world = await openEc2World();
    const { provider, lines } = await providerWith(slip(strictTemplate(world.fake)));
    // Whoever does not list first meets the same refusal later.
    const hasty = provider.planLaunch(1);
    await provider.list();
    await provider.list();
    const planned = provider.planLaunch(1);
    expect(planned).toEqual({ wait: expect.stringMatching(said), until: expect.any(Number) });
    expect(lines().match(/nothing is launched from this launch template/g)).toHaveLength(1);

    expect("plan" in hasty).toBe(true);
    const launch = { ...world.intend(1), ...("plan" in hasty ? { plan: hasty.plan } : {}) };
    await expect(provider.ensureLaunched(launch)).rejects.toMatchObject({ code: "MACHINE_LAUNCH_FAILED" });
    expect(world.calls("CreateFleet")).toBe(0);
    expect(world.fake.state.left().instances).toBe(0);
  });

  it("that is as it should be is read once", async () => {
    world = await openEc2World();
    await world.provider.list();
    await world.pass(10 * 60_000);
    await world.provider.list();
    await world.provider.ensureLaunched(world.intend(1));
    expect(world.calls("DescribeLaunchTemplateVersions")).toBe(1);
    expect(world.calls("CreateFleet")).toBe(1);
  });

  it("whose AMI was made from another disk than the settings say is refused", async () => {
    world = await openEc2World();
    world.fake.place.image.tags["mayfly:image-digest"] = OTHER;
    await world.provider.list();
    const planned = world.provider.planLaunch(1);
    expect(planned).toMatchObject({ wait: expect.stringMatching(/made from sha256:9+, not from sha256:1+/) });
    // Somebody publishes the right one under the same template.
    world.fake.place.image.tags["mayfly:image-digest"] = world.config.image;
    await world.pass(60_000);
    await world.provider.list();
    expect(world.provider.planLaunch(1)).toHaveProperty("plan");
  });

  it("whose AMI does not say which disk it was made from is refused", async () => {
    world = await openEc2World();
    const launch = world.intend(1);
    delete world.fake.place.image.tags["mayfly:image-digest"];
    await world.provider.list();
    expect(world.provider.planLaunch(1)).toMatchObject({
      wait: expect.stringMatching(/ami-\w+ has no tag mayfly:image-digest/),
    });
    await expect(world.provider.ensureLaunched(launch)).rejects.toMatchObject({ code: "MACHINE_LAUNCH_FAILED" });
    expect(world.calls("CreateFleet")).toBe(0);
  });

  it("whose AMI is another account's is refused, also with the right tag", async () => {
    world = await openEc2World();
    world.fake.place.image.owner = "999999999999";
    await world.provider.list();
    expect(world.provider.planLaunch(1)).toMatchObject({
      wait: expect.stringMatching(/ami-\w+ is not an image of this account/),
    });
  });

  it("that cannot be read lets nothing be launched until it can", async () => {
    let mayLook = false;
    world = await openEc2World({
      authorize: ({ action }) => action !== "DescribeLaunchTemplateVersions" || mayLook,
    });
    await world.provider.list();
    const planned = world.provider.planLaunch(1);
    expect(planned).toMatchObject({
      wait: expect.stringMatching(/a look at the launch template.*UnauthorizedOperation/),
    });
    mayLook = true;
    await world.pass(60_000);
    await world.provider.list();
    expect(world.provider.planLaunch(1)).toHaveProperty("plan");
  });
});
