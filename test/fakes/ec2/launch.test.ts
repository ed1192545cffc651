import {
  CreateFleetCommand,
  type CreateFleetRequest,
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  type EC2Client,
  type RequestLaunchTemplateData,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Ec2Fake, startEc2Fake } from "./server.ts";
import { addTemplate, createTestClient, fleetRequest, strictTemplate } from "./testing.ts";

describe("launches from the stand-in for EC2", () => {
  let fake: Ec2Fake;
  let client: EC2Client;
  let template: string;

  beforeEach(async () => {
    fake = await startEc2Fake({ throttle: null });
    client = createTestClient(fake);
    template = await addTemplate(client, fake);
  });

  afterEach(async () => {
    client.destroy();
    await fake.close();
  });

  async function createFleet(change: Partial<CreateFleetRequest> = {}, count = 1) {
    return await client.send(new CreateFleetCommand({ ...fleetRequest(fake, template, count), ...change }));
  }

  it("gives each machine what its template and the call say", async () => {
    const tags = ["instance", "volume", "network-interface"] as const;
    await createFleet({
      TagSpecifications: tags.map((ResourceType) => ({ ResourceType, Tags: [{ Key: "of", Value: ResourceType }] })),
    });
    expect(fake.state.instances()).toMatchObject([
      {
        tags: { of: "instance", "aws:ec2launchtemplate:id": template, "aws:ec2launchtemplate:version": "1" },
        blueprint: {
          lifecycle: "spot",
          template: { id: template, version: 1 },
          keyName: null,
          profile: null,
          userData: null,
          hasPublicAddress: false,
          shutdownBehavior: "terminate",
          metadata: { endpoint: "disabled", tokens: "required", hopLimit: 1 },
          groups: [fake.place.group.id],
        },
      },
    ]);
    const disk = { encrypted: true, deleteOnTermination: true, type: "gp3", initializationRate: 100 };
    expect(fake.state.volumes()).toMatchObject([{ tags: { of: "volume" }, disk }]);
    expect(fake.state.interfaces()).toMatchObject([{ tags: { of: "network-interface" }, publicIp: null }]);
  });

  it("gives a machine EC2's lax defaults where the template says nothing", async () => {
    const { LaunchTemplate: lax } = await client.send(
      new CreateLaunchTemplateCommand({
        LaunchTemplateName: "lax",
        LaunchTemplateData: {
          ImageId: fake.place.image.id,
          KeyName: "key",
          UserData: Buffer.from("#!").toString("base64"),
          IamInstanceProfile: { Name: "profile" },
          NetworkInterfaces: [{ DeviceIndex: 0, AssociatePublicIpAddress: true, DeleteOnTermination: false }],
        },
      }),
    );
    const { LaunchTemplateConfigs: _configs, ...request } = fleetRequest(fake, template, 1);
    const configs = fleetRequest(fake, lax?.LaunchTemplateId ?? "", 1).LaunchTemplateConfigs;
    await client.send(new CreateFleetCommand({ ...request, LaunchTemplateConfigs: configs }));
    expect(fake.state.instances()).toMatchObject([
      {
        blueprint: {
          keyName: "key",
          profile: "profile",
          userData: "IyE=",
          hasPublicAddress: true,
          interfaceDeleteOnTermination: false,
          shutdownBehavior: "stop",
          metadata: { endpoint: "enabled", tokens: "optional" },
          disks: [{ encrypted: false, deleteOnTermination: true }],
        },
      },
    ]);
  });

  it("answers a client token again with the same machines, and refuses it for another request", async () => {
    const first = await createFleet({ ClientToken: "one" }, 3);
    const again = await createFleet({ ClientToken: "one" }, 3);
    expect(again.Instances).toEqual(first.Instances);
    expect(fake.state.instances()).toHaveLength(3);
    await expect(createFleet({ ClientToken: "one" }, 4)).rejects.toMatchObject({ name: "IdempotentParameterMismatch" });
    await expect(createFleet({ ClientToken: "x".repeat(65) })).rejects.toMatchObject({ name: "InvalidParameterValue" });
    expect(fake.state.instances()).toHaveLength(3);
  });

  it("gives what there is, and says of each offering that failed why", async () => {
    fake.setCapacity({ machines: 0 }, { type: "m7i.large", zone: "us-east-1a", machines: 2 });
    const none = await createFleet({}, 3);
    expect(none.Instances).toEqual([]);
    expect(new Set(none.Errors?.map(({ ErrorCode }) => ErrorCode))).toEqual(
      new Set(["InsufficientInstanceCapacity", "InvalidFleetConfiguration"]),
    );
    fake.setCapacity(
      { type: "m6i.large", machines: 0 },
      { type: "m7i.large", machines: 2 },
      { type: "r7i.large", machines: 0 },
    );
    const some = await createFleet({}, 3);
    expect(some.Instances?.flatMap(({ InstanceIds }) => InstanceIds)).toHaveLength(2);
    expect(some.Errors).toHaveLength(9);
    expect(some.Errors?.[0]).toMatchObject({
      Lifecycle: "spot",
      LaunchTemplateAndOverrides: { Overrides: { SubnetId: expect.stringMatching(/^subnet-/) } },
    });
  });

  it("keeps the account's quotas, each with its own word", async () => {
    fake.setQuota("spot", 1);
    fake.setQuota("on-demand", 0);
    expect((await createFleet({}, 2)).Errors?.map(({ ErrorCode }) => ErrorCode)).toContain(
      "MaxSpotInstanceCountExceeded",
    );
    const capacity = { TotalTargetCapacity: 1, DefaultTargetCapacityType: "on-demand" as const };
    const refused = await createFleet({ TargetCapacitySpecification: capacity });
    expect(refused.Instances).toEqual([]);
    expect(refused.Errors?.map(({ ErrorCode }) => ErrorCode)).toContain("VcpuLimitExceeded");
    expect(fake.state.left().instances).toBe(1);
  });

  it("splits a fleet into spot and on-demand as asked", async () => {
    const split = { TotalTargetCapacity: 5, OnDemandTargetCapacity: 2, DefaultTargetCapacityType: "spot" as const };
    const { Instances: instances } = await createFleet({ TargetCapacitySpecification: split });
    const count = (wanted: string) =>
      instances?.filter(({ Lifecycle }) => Lifecycle === wanted).flatMap(({ InstanceIds }) => InstanceIds).length;
    expect([count("spot"), count("on-demand")]).toEqual([3, 2]);
  });

  it("refuses spot request tags where no spot machine is asked for, offering by offering", async () => {
    const { Errors: errors, Instances: instances } = await createFleet({
      TagSpecifications: [{ ResourceType: "spot-instances-request", Tags: [{ Key: "a", Value: "b" }] }],
      TargetCapacitySpecification: { TotalTargetCapacity: 1, DefaultTargetCapacityType: "on-demand" },
    });
    expect(instances).toEqual([]);
    expect(errors?.[0]).toMatchObject({ ErrorCode: "InvalidParameterValue" });
  });

  it("refuses fleets that EC2 would refuse, and those it does not model", async () => {
    const override = { InstanceType: "m7i.large" as const, SubnetId: fake.place.subnets[0]?.id };
    const spec = { LaunchTemplateId: template, Version: "1" };
    const cases: [Partial<CreateFleetRequest>, string][] = [
      [{ Type: "maintain" }, "NotModelled"],
      [{ Context: "x" }, "NotModelled"],
      [
        { LaunchTemplateConfigs: [{ LaunchTemplateSpecification: { LaunchTemplateId: template } }] },
        "MissingParameter",
      ],
      [
        { LaunchTemplateConfigs: [{ LaunchTemplateSpecification: { ...spec, Version: "9" }, Overrides: [override] }] },
        "InvalidLaunchTemplateId.VersionNotFound",
      ],
      [
        { LaunchTemplateConfigs: [{ LaunchTemplateSpecification: spec, Overrides: [override, override] }] },
        "InvalidFleetConfig",
      ],
      [
        { LaunchTemplateConfigs: [{ LaunchTemplateSpecification: spec, Overrides: [{ SubnetId: "subnet-0" }] }] },
        "InvalidSubnetID.NotFound",
      ],
      [
        { TargetCapacitySpecification: { TotalTargetCapacity: 0, DefaultTargetCapacityType: "spot" } },
        "InvalidParameterValue",
      ],
      [{ TargetCapacitySpecification: { TotalTargetCapacity: 1 } }, "InvalidParameterCombination"],
      [{ TagSpecifications: [{ ResourceType: "subnet", Tags: [] }] }, "InvalidParameterValue"],
      [
        { TagSpecifications: [{ ResourceType: "instance", Tags: [{ Key: "aws:x", Value: "" }] }] },
        "InvalidParameterValue",
      ],
    ];
    for (const [change, code] of cases) {
      await expect(createFleet(change)).rejects.toMatchObject({ name: code });
    }
    expect(fake.state.instances()).toEqual([]);
  });

  it("runs instances between MinCount and MaxCount, or none", async () => {
    const spec = { LaunchTemplateId: template, Version: "1" };
    const run = { LaunchTemplate: spec, SubnetId: fake.place.subnets[0]?.id, ClientToken: "t" };
    fake.setCapacity({ machines: 2 });
    const enough = await client.send(new RunInstancesCommand({ ...run, MinCount: 1, MaxCount: 3 }));
    expect(enough.Instances).toHaveLength(2);
    const again = await client.send(new RunInstancesCommand({ ...run, MinCount: 1, MaxCount: 3 }));
    expect(again.Instances?.map(({ InstanceId }) => InstanceId)).toEqual(
      enough.Instances?.map(({ InstanceId }) => InstanceId),
    );
    const more = new RunInstancesCommand({ ...run, ClientToken: "u", MinCount: 1, MaxCount: 1 });
    await expect(client.send(more)).rejects.toMatchObject({ name: "InsufficientInstanceCapacity" });
    expect(fake.state.left().instances).toBe(2);
  });

  it("makes versions of a template that build on another, and shows them", async () => {
    await client.send(
      new CreateLaunchTemplateVersionCommand({
        LaunchTemplateId: template,
        SourceVersion: "1",
        LaunchTemplateData: { InstanceType: "m7a.large" },
      }),
    );
    const { LaunchTemplateVersions: versions } = await client.send(
      new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateId: template, Versions: ["$Latest", "1"] }),
    );
    expect(versions).toMatchObject([
      { VersionNumber: 2, LaunchTemplateData: { ...strictTemplate(fake), InstanceType: "m7a.large" } },
      { VersionNumber: 1, DefaultVersion: true, LaunchTemplateData: strictTemplate(fake) },
    ]);
  });

  it("refuses a template with what EC2 would not take", async () => {
    const data = strictTemplate(fake);
    const cases: [RequestLaunchTemplateData, string][] = [
      [{ ...data, SecurityGroupIds: [fake.place.group.id] }, "InvalidParameterCombination"],
      [{ ...data, ImageId: "ami-0123456789abcdef0" }, "InvalidAMIID.NotFound"],
      [
        { ...data, BlockDeviceMappings: [{ DeviceName: "/dev/xvda", Ebs: { VolumeInitializationRate: 99 } }] },
        "InvalidParameterValue",
      ],
      [{ ...data, KernelId: "k" }, "NotModelled"],
    ];
    for (const [LaunchTemplateData, name] of cases) {
      const command = new CreateLaunchTemplateCommand({ LaunchTemplateName: "bad", LaunchTemplateData });
      await expect(client.send(command)).rejects.toMatchObject({ name });
    }
  });

  it("hands out an address again only after all others, unless told to reuse", async () => {
    const addresses = async (one: Ec2Fake) => {
      const caller = createTestClient(one);
      const id = await addTemplate(caller, one);
      for (const ClientToken of ["a", "b"]) {
        await caller.send(new CreateFleetCommand({ ...fleetRequest(one, id, 1, 1), ClientToken }));
        one.powerOff(one.state.instances().at(-1)?.id ?? "");
      }
      caller.destroy();
      await one.close();
      return one.state.instances().map(({ privateIp }) => privateIp);
    };
    expect(await addresses(await startEc2Fake())).toEqual(["10.20.16.4", "10.20.16.5"]);
    expect(await addresses(await startEc2Fake({ reusesAddresses: true }))).toEqual(["10.20.16.4", "10.20.16.4"]);
  });

  it("makes nothing when a subnet has too few addresses", async () => {
    const run = { LaunchTemplate: { LaunchTemplateId: template, Version: "1" }, SubnetId: fake.place.subnets[0]?.id };
    for (let batch = 0; batch < 4; batch += 1) {
      await client.send(new RunInstancesCommand({ ...run, MinCount: 1_000, MaxCount: 1_000 }));
    }
    const more = new RunInstancesCommand({ ...run, MinCount: 100, MaxCount: 100 });
    await expect(client.send(more)).rejects.toMatchObject({ name: "InsufficientFreeAddressesInSubnet" });
    expect(fake.state.left()).toEqual({ instances: 4_000, volumes: 4_000, interfaces: 4_000 });
  });

  it("tells the hook of each machine, and again when it ends", async () => {
    const seen: string[] = [];
    const other = await startEc2Fake({
      onInstance: ({ id, privateIp, template: from }) => {
        seen.push(`start ${privateIp} version ${from?.version}`);
        return { stop: () => void seen.push(`stop ${other.state.instances().find((one) => one.id === id)?.phase}`) };
      },
    });
    const caller = createTestClient(other);
    const id = await addTemplate(caller, other);
    await caller.send(new CreateFleetCommand(fleetRequest(other, id, 2, 1)));
    const { Reservations: reservations } = await caller.send(new DescribeInstancesCommand({}));
    other.powerOff(reservations?.[0]?.Instances?.[0]?.InstanceId ?? "");
    caller.destroy();
    await other.close();
    expect(seen).toEqual([
      "start 10.20.16.4 version 1",
      "start 10.20.16.5 version 1",
      "stop terminated",
      "stop running",
    ]);
  });
});
