import {
  CreateFleetCommand,
  DeleteNetworkInterfaceCommand,
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeNetworkInterfacesCommand,
  DescribeSecurityGroupsCommand,
  DescribeVolumesCommand,
  DescribeVpcAttributeCommand,
  type EC2Client,
  type Filter,
  GetConsoleOutputCommand,
  paginateDescribeInstances,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Ec2Fake, startEc2Fake } from "./server.ts";
import { addTemplate, createTestClient, fleetRequest } from "./testing.ts";

describe("machines in the stand-in for EC2", () => {
  let fake: Ec2Fake;
  let client: EC2Client;
  let ids: string[];
  let now: number;

  beforeEach(async () => {
    now = Date.parse("2026-01-01T00:00:00Z");
    const pace = { pendingMs: 1_000, terminationMs: 60_000, skippedTerminationMs: 5_000 };
    fake = await startEc2Fake({ clock: () => now, throttle: null, pace });
    client = createTestClient(fake);
    const template = await addTemplate(client, fake);
    const tags = (["instance", "volume", "network-interface"] as const).map((ResourceType) => ({
      ResourceType,
      Tags: [{ Key: "fleet", Value: "f*1" }],
    }));
    const request = { ...fleetRequest(fake, template, 12), TagSpecifications: tags };
    const { Instances: instances } = await client.send(new CreateFleetCommand(request));
    ids = instances?.flatMap(({ InstanceIds }) => InstanceIds ?? []) ?? [];
  });

  afterEach(async () => {
    client.destroy();
    await fake.close();
  });

  async function find(...Filters: Filter[]): Promise<(string | undefined)[]> {
    const { Reservations: reservations } = await client.send(new DescribeInstancesCommand({ Filters }));
    return reservations?.flatMap(({ Instances }) => Instances ?? []).map(({ InstanceId }) => InstanceId) ?? [];
  }

  async function terminate(InstanceIds: string[], SkipOsShutdown = true) {
    return await client.send(new TerminateInstancesCommand({ InstanceIds, Force: true, SkipOsShutdown }));
  }

  it("finds them by tag, state, type and address, with wildcards", async () => {
    const address = fake.state.instances()[3]?.privateIp ?? "";
    expect(await find({ Name: "tag:fleet", Values: ["f*1"] })).toEqual(ids);
    expect(await find({ Name: "tag:fleet", Values: ["f?"] })).toEqual([]);
    expect(await find({ Name: "tag-key", Values: ["fl*"] })).toHaveLength(12);
    expect(await find({ Name: "private-ip-address", Values: [address, "10.0.0.1"] })).toEqual([ids[3]]);
    expect(await find({ Name: "instance-state-name", Values: ["running"] })).toEqual([]);
    now += 1_000;
    expect(await find({ Name: "instance-state-name", Values: ["running"] })).toHaveLength(12);
    expect(
      await find({ Name: "instance-state-name", Values: ["running"] }, { Name: "tag-key", Values: ["x"] }),
    ).toEqual([]);
  });

  it("gives pages that lose and double nothing while machines come and go", async () => {
    const seen: (string | undefined)[] = [];
    const filters = [{ Name: "instance-state-name", Values: ["pending"] }];
    for await (const page of paginateDescribeInstances({ client, pageSize: 5 }, { Filters: filters })) {
      seen.push(
        ...(page.Reservations?.flatMap(({ Instances }) => Instances ?? []).map(({ InstanceId }) => InstanceId) ?? []),
      );
      await terminate(ids.slice(0, 3));
    }
    expect(seen).toEqual(ids);
    expect(fake.calls.filter(({ action }) => action === "DescribeInstances")).toHaveLength(3);
  });

  it("refuses a page's token for another question", async () => {
    const { NextToken } = await client.send(new DescribeInstancesCommand({ MaxResults: 5 }));
    const other = new DescribeInstancesCommand({ NextToken, Filters: [{ Name: "tag-key", Values: ["x"] }] });
    await expect(client.send(other)).rejects.toMatchObject({ name: "InvalidNextToken" });
  });

  it("terminates in its own time, faster without the guest's shutdown, and takes what they held along", async () => {
    const [slow = "", fast = ""] = ids;
    const { TerminatingInstances: changes } = await terminate([fast]);
    expect(changes).toMatchObject([{ PreviousState: { Name: "pending" }, CurrentState: { Name: "shutting-down" } }]);
    await terminate([slow], false);
    const states = () =>
      fake.state
        .instances()
        .slice(0, 2)
        .map(({ phase }) => phase);
    now += 5_000;
    expect(states()).toEqual(["shutting-down", "terminated"]);
    expect(fake.state.left()).toEqual({ instances: 11, volumes: 11, interfaces: 11 });
    now += 55_000;
    expect(states()).toEqual(["terminated", "terminated"]);
    expect(fake.state.left()).toEqual({ instances: 10, volumes: 10, interfaces: 10 });
  });

  it("shows a terminated machine for an hour, without its address, and can be told again", async () => {
    const [id = ""] = ids;
    await terminate([id]);
    now += 5_000;
    const { Reservations: reservations } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    expect(reservations?.[0]?.Instances).toMatchObject([
      {
        State: { Name: "terminated", Code: 48 },
        StateReason: { Code: "Client.UserInitiatedShutdown" },
        NetworkInterfaces: [],
      },
    ]);
    expect(reservations?.[0]?.Instances?.[0]?.PrivateIpAddress).toBeUndefined();
    expect((await terminate([id])).TerminatingInstances).toMatchObject([{ CurrentState: { Name: "terminated" } }]);
    now += 60 * 60_000;
    const gone = client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    await expect(gone).rejects.toMatchObject({ name: "InvalidInstanceID.NotFound" });
  });

  it("terminates none where one id is unknown", async () => {
    const mixed = terminate([...ids, "i-0123456789abcdef0"]);
    await expect(mixed).rejects.toMatchObject({ name: "InvalidInstanceID.NotFound" });
    expect(fake.state.left().instances).toBe(12);
  });

  it("keeps volumes and interfaces that are in use, and deletes those that are not", async () => {
    fake.setChaos({ leaks: 1 });
    const [{ id: VolumeId } = { id: "" }] = fake.state.volumes();
    const [{ id: NetworkInterfaceId } = { id: "" }] = fake.state.interfaces();
    const deleteVolume = () => client.send(new DeleteVolumeCommand({ VolumeId }));
    const deleteInterface = () => client.send(new DeleteNetworkInterfaceCommand({ NetworkInterfaceId }));
    await expect(deleteVolume()).rejects.toMatchObject({ name: "VolumeInUse" });
    await expect(deleteInterface()).rejects.toMatchObject({ name: "InvalidNetworkInterface.InUse" });
    await terminate(ids);
    now += 5_000;
    const filters = [
      { Name: "tag:fleet", Values: ["f?1"] },
      { Name: "status", Values: ["available"] },
    ];
    const volumes = await client.send(new DescribeVolumesCommand({ Filters: filters, MaxResults: 500 }));
    const cards = await client.send(new DescribeNetworkInterfacesCommand({ Filters: filters, MaxResults: 500 }));
    expect([volumes.Volumes, cards.NetworkInterfaces]).toMatchObject([{ length: 12 }, { length: 12 }]);
    await deleteVolume();
    await deleteInterface();
    await expect(deleteVolume()).rejects.toMatchObject({ name: "InvalidVolume.NotFound" });
    await expect(deleteInterface()).rejects.toMatchObject({ name: "InvalidNetworkInterfaceID.NotFound" });
    expect(fake.state.left()).toEqual({ instances: 0, volumes: 11, interfaces: 11 });
  });

  it("lets a guest power itself off, as its template wants it", () => {
    const [id = ""] = ids;
    fake.powerOff(id);
    expect(fake.state.instances()[0]).toMatchObject({
      phase: "terminated",
      reason: { code: "Client.InstanceInitiatedShutdown" },
    });
    expect(() => fake.powerOff(id)).toThrow("no living instance");
  });

  it("gives the console's last 64 KiB in base64, and nothing before there is any", async () => {
    const [InstanceId = ""] = ids;
    const read = async () => (await client.send(new GetConsoleOutputCommand({ InstanceId }))).Output;
    expect(await read()).toBeUndefined();
    fake.setConsole(InstanceId, `${"a".repeat(70_000)}the end`);
    const text = Buffer.from((await read()) ?? "", "base64").toString();
    expect([text.length, text.slice(-7)]).toEqual([65_536, "the end"]);
  });

  it("shows the network and the offerings as they are", async () => {
    fake.place.group.egress.push({ cidr: "10.20.0.10/32", port: 7_443 });
    const { SecurityGroups: groups } = await client.send(new DescribeSecurityGroupsCommand({}));
    expect(groups).toMatchObject([{ IpPermissions: [], IpPermissionsEgress: [{ FromPort: 7_443 }] }]);
    const attribute = { Attribute: "enableDnsSupport" as const, VpcId: fake.place.vpc.id };
    expect(await client.send(new DescribeVpcAttributeCommand(attribute))).toMatchObject({
      EnableDnsSupport: { Value: false },
    });
    const { InstanceTypeOfferings: offerings } = await client.send(
      new DescribeInstanceTypeOfferingsCommand({
        LocationType: "availability-zone",
        Filters: [{ Name: "instance-type", Values: ["r7i.large"] }],
      }),
    );
    expect(offerings?.map(({ Location }) => Location)).toEqual(["us-east-1a", "us-east-1b"]);
  });
});
