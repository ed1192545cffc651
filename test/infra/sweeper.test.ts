import { CreateFleetCommand, type EC2Client } from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GRACE_MS, sweep } from "../../infra/cdk/sweeper/index.mjs";
import { type Ec2Fake, startEc2Fake } from "../fakes/ec2/server.ts";
import { addTemplate, createTestClient, fleetRequest } from "../fakes/ec2/testing.ts";

describe("the sweeper, against the stand-in for EC2", () => {
  let now: number;
  let fake: Ec2Fake;
  let ec2: EC2Client;
  let template: string;

  beforeEach(async () => {
    now = Date.parse("2026-11-22T12:00:00.000Z");
    fake = await startEc2Fake({ throttle: null, clock: () => now });
    ec2 = createTestClient(fake);
    template = await addTemplate(ec2, fake);
  });

  afterEach(async () => {
    ec2.destroy();
    await fake.close();
  });

  async function launch(fleet: string, deadline: number, count = 1): Promise<void> {
    const Tags = [
      { Key: "mayfly:fleet", Value: fleet },
      { Key: "mayfly:deadline", Value: new Date(deadline).toISOString() },
    ];
    const TagSpecifications = (["instance", "volume", "network-interface"] as const).map((ResourceType) => ({
      ResourceType,
      Tags,
    }));
    await ec2.send(new CreateFleetCommand({ ...fleetRequest(fake, template, count), TagSpecifications }));
  }

  it("ends what has outlived its deadline, and nothing of another fleet", async () => {
    await launch("ours", now, 3);
    await launch("ours", now + 2 * GRACE_MS);
    await launch("theirs", now);
    now += GRACE_MS + 1;
    expect(await sweep({ ec2, fleet: "ours", now })).toEqual({
      ended: { instance: 3, volume: 0, interface: 0 },
      failed: [],
      left: 0,
    });
    expect(fake.state.left()).toEqual({ instances: 2, volumes: 2, interfaces: 2 });
  });

  it("removes volumes and interfaces that a machine left behind", async () => {
    await launch("ours", now, 2);
    fake.setChaos({ leaks: 1 });
    now += GRACE_MS + 1;
    await sweep({ ec2, fleet: "ours", now });
    const leaked = fake.state.left();
    expect(leaked.volumes + leaked.interfaces).toBeGreaterThan(0);
    const { ended } = await sweep({ ec2, fleet: "ours", now });
    expect(ended.volume + ended.interface).toBe(leaked.volumes + leaked.interfaces);
    expect(fake.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
  });

  it("ends nothing when the fleet cannot be read whole", async () => {
    await launch("ours", now);
    now += GRACE_MS + 1;
    ec2.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          if (commandName === "DescribeVolumesCommand") {
            throw new Error("no answer");
          }
          return next(args);
        },
      { step: "initialize" },
    );
    await expect(sweep({ ec2, fleet: "ours", now })).rejects.toThrow("no answer");
    expect(fake.state.left().instances).toBe(1);
  });
});
