import {
  CreateFleetCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  type EC2Client,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { callRaw } from "./raw-call.ts";
import { type Ec2Fake, type Ec2FakeOptions, startEc2Fake } from "./server.ts";
import { addTemplate, createTestClient, fleetRequest } from "./testing.ts";

describe("the stand-in for EC2 on its bad days", () => {
  let fake: Ec2Fake;
  let client: EC2Client;
  let template: string;
  let now: number;

  beforeEach(async () => {
    await start({});
  });

  afterEach(stop);

  async function start(options: Ec2FakeOptions): Promise<void> {
    now = Date.parse("2026-01-01T00:00:00Z");
    fake = await startEc2Fake({ clock: () => now, ...options });
    client = createTestClient(fake);
    template = await addTemplate(client, fake);
  }

  async function stop(): Promise<void> {
    client.destroy();
    await fake.close();
  }

  async function restart(options: Ec2FakeOptions): Promise<void> {
    await stop();
    await start(options);
  }

  async function launch(count = 1, ClientToken?: string): Promise<string[]> {
    const request = { ...fleetRequest(fake, template, count), ...(ClientToken === undefined ? {} : { ClientToken }) };
    const { Instances: instances } = await client.send(new CreateFleetCommand(request));
    return instances?.flatMap(({ InstanceIds }) => InstanceIds ?? []) ?? [];
  }

  const describeIds = (InstanceIds: string[]) => client.send(new DescribeInstancesCommand({ InstanceIds }));
  const terminate = (InstanceIds: string[]) => client.send(new TerminateInstancesCommand({ InstanceIds }));

  it("limits launches to five at once and two per second, and describes by their own measure", async () => {
    for (let call = 0; call < 5; call += 1) {
      await launch();
    }
    await expect(launch()).rejects.toMatchObject({ name: "RequestLimitExceeded" });
    await client.send(new DescribeInstancesCommand({ MaxResults: 5 }));
    now += 1_000;
    await launch();
    await launch();
    await expect(launch()).rejects.toMatchObject({ name: "RequestLimitExceeded", $metadata: { httpStatusCode: 503 } });
    expect(fake.state.left().instances).toBe(7);
  });

  it("gives a describe without filter and page a smaller bucket, and any bucket the size it is told", async () => {
    await restart({ throttle: { describeAll: { burst: 1, perSecond: 0 }, machines: { burst: 3, perSecond: 1 } } });
    await client.send(new DescribeInstancesCommand({}));
    await expect(client.send(new DescribeInstancesCommand({}))).rejects.toMatchObject({ name: "RequestLimitExceeded" });
    await client.send(new DescribeInstancesCommand({ MaxResults: 5 }));
    await expect(launch(4)).rejects.toMatchObject({ name: "RequestLimitExceeded" });
    expect(await launch(3)).toHaveLength(3);
  });

  it("hides a new machine from the first looks, by id and in listings", async () => {
    await restart({ chaos: { hiddenLooks: 3 } });
    const [id = ""] = await launch(1);
    const hiddenLooks = fake.state.instances()[0]?.hiddenLooks ?? 0;
    expect(hiddenLooks).toBeGreaterThan(0);
    for (let look = 0; look < hiddenLooks; look += 1) {
      await expect(describeIds([id])).rejects.toMatchObject({ name: "InvalidInstanceID.NotFound" });
    }
    expect((await describeIds([id])).Reservations).toHaveLength(1);
  });

  it("hides new things for a while, even from their termination", async () => {
    await restart({ chaos: { hiddenMs: 60_000 } });
    const ids = await launch(1);
    expect((await client.send(new DescribeInstancesCommand({ MaxResults: 5 }))).Reservations).toEqual([]);
    await expect(terminate(ids)).rejects.toMatchObject({ name: "InvalidInstanceID.NotFound" });
    now += 60_000;
    await terminate(ids);
    expect(fake.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
  });

  it("cuts the line before or after a call takes effect", async () => {
    fake.misbehave("CreateFleet", { kind: "lose-call" }, { kind: "lose-reply" });
    await expect(launch(1, "t")).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(fake.state.instances()).toEqual([]);
    await expect(launch(1, "t")).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(fake.state.instances()).toHaveLength(1);
    expect(await launch(1, "t")).toEqual([fake.state.instances()[0]?.id]);
    expect(fake.calls.slice(1).map(({ status }) => status)).toEqual([null, null, 200]);
  });

  it("carries a call out twice: twice the machines without a client token, not with one", async () => {
    fake.misbehave("CreateFleet", { kind: "twice" });
    fake.misbehave("RunInstances", { kind: "twice" });
    // The SDK's client makes up a token where it is given none.
    await launch(1);
    expect(fake.state.instances()).toHaveLength(1);
    const parameters = { MinCount: "1", MaxCount: "1", "LaunchTemplate.LaunchTemplateId": template };
    const SubnetId = fake.place.subnets[0]?.id ?? "";
    expect(await callRaw(fake, { Action: "RunInstances", ...parameters, SubnetId })).toMatchObject({ status: 200 });
    expect(fake.state.instances()).toHaveLength(3);
  });

  it("refuses as told, without effect", async () => {
    fake.misbehave("CreateFleet", { kind: "refuse", code: "MaxFleetCountExceeded" });
    await expect(launch()).rejects.toMatchObject({ name: "MaxFleetCountExceeded" });
    expect(await launch()).toHaveLength(1);
    expect(fake.violations).toEqual([]);
  });

  it("takes spot machines back, by hand and by chance", async () => {
    const [id = ""] = await launch();
    fake.interrupt(id);
    expect((await describeIds([id])).Reservations?.[0]?.Instances).toMatchObject([
      { InstanceLifecycle: "spot", StateReason: { Code: "Server.SpotInstanceTermination" } },
    ]);
    await restart({ chaos: { interruptions: 1, interruptWithinMs: 600_000 } });
    await launch(3);
    now += 600_000;
    expect(fake.state.instances().map(({ phase }) => phase)).toEqual(["terminated", "terminated", "terminated"]);
  });

  it("leaves volumes and interfaces behind", async () => {
    await restart({ chaos: { leaks: 1 } });
    const ids = await launch(2);
    await terminate(ids);
    expect(fake.state.left()).toEqual({ instances: 0, volumes: 2, interfaces: 2 });
    const { Volumes: volumes } = await client.send(new DescribeVolumesCommand({ MaxResults: 5 }));
    expect(volumes).toMatchObject([{ State: "available", Attachments: [] }, { State: "available" }]);
  });

  it("goes wrong the same way for the same seed, and another way for another", async () => {
    const outcomes = async (seed: number) => {
      const chaos = { errors: 0.2, lostCalls: 0.1, lostReplies: 0.1, noCapacity: 0.3, leaks: 0.5 };
      await restart({ seed, throttle: null });
      fake.setChaos(chaos);
      for (let call = 0; call < 12; call += 1) {
        const ids = await launch(2).catch(() => []);
        await (ids.length === 0 ? null : terminate(ids).catch(() => null));
      }
      return [fake.calls.map(({ code, status }) => code ?? status), fake.state.left()];
    };
    const first = await outcomes(3);
    expect(await outcomes(3)).toEqual(first);
    expect(await outcomes(4)).not.toEqual(first);
  });

  it("fails its closing when a guest's hook failed", async () => {
    await restart({ onInstance: () => Promise.reject(new Error("no room for a guest")) });
    await launch();
    await expect(fake.close()).rejects.toThrow("no room for a guest");
    await start({});
  });
});
