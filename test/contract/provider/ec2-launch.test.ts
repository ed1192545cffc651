import { CreateFleetCommand, type EC2Client } from "@aws-sdk/client-ec2";
import type { MachineId } from "@mayfly/core";
import { createEc2Provider } from "../../../apps/orchestrator/src/fleet/providers/ec2/ec2-provider.ts";
import { readPlan, requestOf } from "../../../apps/orchestrator/src/fleet/providers/ec2/launch-request.ts";
import { instanceIdOf } from "../../../apps/orchestrator/src/fleet/providers/ec2/machine-id.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { afterEach, describe, expect, it } from "vitest";
import { type Ec2World, fleet, openEc2World } from "./ec2-world.ts";

const MINUTE = 60_000;
/** A listing is shared for this long. */
const LISTING_MS = 6_000;
let world: Ec2World;

async function open(options: Parameters<typeof openEc2World>[0] = {}): Promise<Ec2World> {
  world = await openEc2World(options);
  return world;
}

function instanceIds(machines: readonly MachineId[]): string[] {
  return machines.map((id) => instanceIdOf(id) ?? "").sort();
}

/** Puts other codes into the errors that an answer lists, as the stand-in has none of these. */
function sayInstead(ec2: EC2Client, codeFor: (code: string | undefined, at: number) => string | undefined): void {
  ec2.middlewareStack.add(
    (next) => async (args) => {
      const answer = await next(args);
      const errors = "Errors" in answer.output ? (answer.output.Errors ?? []) : [];
      errors.forEach((error, at) => {
        error.ErrorCode = codeFor(error.ErrorCode, at);
      });
      return answer;
    },
    { step: "initialize" },
  );
}

afterEach(async () => {
  await world.close();
});

describe("a launch on EC2", () => {
  it("is one call for many machines", async () => {
    const { provider, intend, calls, fake } = await open();
    const { machines } = await provider.ensureLaunched(intend(50));
    expect(machines).toHaveLength(50);
    expect(calls("CreateFleet")).toBe(1);
    expect(fake.state.left()).toEqual({ instances: 50, volumes: 50, interfaces: 50 });
  });

  it("tags instance, volume and network interface in that call", async () => {
    const { provider, intend, fake } = await open();
    const launch = intend(2);
    await provider.ensureLaunched(launch);
    for (const things of [fake.state.instances(), fake.state.volumes(), fake.state.interfaces()]) {
      expect(things).toHaveLength(2);
      for (const { tags } of things) {
        expect(tags).toMatchObject({
          "mayfly:fleet": fleet,
          "mayfly:launch": launch.id,
          "mayfly:deadline": new Date(launch.deadline).toISOString(),
          "mayfly:spec": provider.spec,
        });
        expect(tags["mayfly:pool"]).toMatch(/^[0-9a-f]{12}$/);
      }
    }
  });

  it("makes nothing but what the template says: no user data, no metadata, no profile, no key, no public address", async () => {
    const { provider, intend, fake } = await open();
    await provider.ensureLaunched(intend(1));
    const call = fake.calls.find(({ action }) => action === "CreateFleet");
    expect(JSON.stringify(call?.input)).not.toMatch(/UserData|IamInstanceProfile|KeyName|PublicIp|ImageId/);
    expect(fake.state.interfaces().map(({ publicIp }) => publicIp)).toEqual([null]);
    expect(fake.state.instances().map(({ blueprint }) => blueprint)).toEqual([
      expect.objectContaining({ userData: null, profile: null, keyName: null, shutdownBehavior: "terminate" }),
    ]);
  });

  it("takes spot machines, and on-demand ones where there is no spot, after one try", async () => {
    const { provider, intend, fake } = await open();
    fake.setCapacity({ lifecycle: "spot", machines: 0 });
    const refused = await provider.ensureLaunched(intend(2));
    expect(refused.machines).toEqual([]);
    expect(refused.missing).toEqual([
      { count: 2, reason: expect.stringContaining("no capacity for m7i.large (spot)") },
    ]);
    const launch = intend(2);
    expect(launch.plan).toMatchObject({ purchase: "on-demand" });
    expect((await provider.ensureLaunched(launch)).machines).toHaveLength(2);
    expect(fake.state.instances().map(({ blueprint }) => blueprint.lifecycle)).toEqual(["on-demand", "on-demand"]);
  });

  it("answers a part of what was asked for as a part", async () => {
    const { provider, intend, fake } = await open();
    fake.setCapacity({ machines: 3 });
    const { machines, missing } = await provider.ensureLaunched(intend(5));
    expect(machines).toHaveLength(3);
    expect(missing).toEqual([{ count: 2, reason: expect.any(String) }]);
  });

  it("leaves what lacked capacity alone for three minutes, and says what it waits for when nothing is left", async () => {
    const { provider, intend, fake, pass, now } = await open();
    fake.setCapacity({ machines: 0 });
    await provider.ensureLaunched(intend(1));
    await provider.ensureLaunched(intend(1));
    const planned = provider.planLaunch(1);
    expect(planned).toEqual({ wait: expect.stringContaining("none of 6 offerings"), until: expect.any(Number) });
    const until = "until" in planned ? planned.until : 0;
    expect(until - now()).toBeGreaterThan(2 * MINUTE);
    await pass(until - now());
    fake.setCapacity();
    expect((await provider.ensureLaunched(intend(1))).machines).toHaveLength(1);
  });

  it("goes round one zone and type that has nothing", async () => {
    const { provider, intend, fake } = await open({ config: { spot: false } });
    const zone = fake.place.subnets[0]?.zone ?? "";
    fake.setCapacity({ type: "m7i.large", zone, machines: 0 });
    expect((await provider.ensureLaunched(intend(4))).machines).toHaveLength(4);
    expect(
      fake.state
        .instances()
        .filter(({ blueprint, subnet }) => blueprint.instanceType === "m7i.large" && subnet.zone === zone),
    ).toEqual([]);
  });

  it("is not kept from on-demand machines by a type that no zone offers", async () => {
    const { provider, intend, fake } = await open({
      config: { instanceTypes: ["m7i.large", "m7a.large", "c5.large"] },
    });
    fake.setCapacity({ lifecycle: "spot", machines: 0 });
    expect((await provider.ensureLaunched(intend(2))).machines).toEqual([]);
    const launch = intend(2);
    expect(launch.plan).toMatchObject({ purchase: "on-demand" });
    expect((await provider.ensureLaunched(launch)).machines).toHaveLength(2);
  });

  it("leaves spot machines alone that the account may not have, after EC2's words about it", async () => {
    const { provider, intend, fake, ec2 } = await open();
    fake.setCapacity({ lifecycle: "spot", machines: 0 });
    sayInstead(ec2, () => "AuthFailure.ServiceLinkedRoleCreationNotPermitted");
    await expect(provider.ensureLaunched(intend(1))).rejects.toMatchObject({
      code: "MACHINE_LAUNCH_FAILED",
      message: expect.stringContaining("ServiceLinkedRoleCreationNotPermitted"),
    });
    const launch = intend(1);
    expect(launch.plan).toMatchObject({ purchase: "on-demand" });
    expect((await provider.ensureLaunched(launch)).machines).toHaveLength(1);
  });

  it("is not refused for a fault of one offering while others lack capacity", async () => {
    const { provider, intend, fake, ec2 } = await open();
    fake.setCapacity({ lifecycle: "spot", machines: 0 });
    sayInstead(ec2, (code, at) => (at === 0 ? "InternalError" : code));
    const { machines, missing } = await provider.ensureLaunched(intend(1));
    expect(machines).toEqual([]);
    expect(missing).toEqual([{ count: 1, reason: expect.stringContaining("InternalError") }]);
    expect(intend(1).plan).toMatchObject({ purchase: "on-demand" });
  });

  it("takes a spent quota of the account for a lack of capacity", async () => {
    const { provider, intend, fake } = await open();
    fake.setQuota("spot", 0);
    const { machines, missing } = await provider.ensureLaunched(intend(1));
    expect(machines).toEqual([]);
    expect(missing[0]?.reason).toContain("no more spot machines");
    expect(intend(1).plan).toMatchObject({ purchase: "on-demand" });
  });

  it.each(["lose-reply", "lose-call", "twice"] as const)(
    "makes its machines once when EC2 does this: %s",
    async (kind) => {
      const { provider, intend, fake } = await open();
      fake.misbehave("CreateFleet", { kind });
      const { machines } = await provider.ensureLaunched(intend(3));
      expect(
        fake.state
          .instances()
          .map(({ id }) => id)
          .sort(),
      ).toEqual(instanceIds(machines));
      expect(machines).toHaveLength(3);
    },
  );

  it("is nobody's knowledge when no answer comes, and is the same when it is asked for again", async () => {
    const { provider, intend, fake, reopen } = await open();
    fake.misbehave("CreateFleet", ...Array.from({ length: 3 }, () => ({ kind: "lose-reply" }) as const));
    const launch = intend(2);
    await expect(provider.ensureLaunched(launch)).rejects.toMatchObject({ code: "PROVIDER_UNAVAILABLE" });
    const { machines } = await reopen().ensureLaunched(launch);
    expect(
      fake.state
        .instances()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(instanceIds(machines));
  });

  it("waits when EC2 is asked too often, says so, and asks nothing meanwhile", async () => {
    const { provider, intend, fake, calls, pass, now } = await open();
    fake.misbehave("CreateFleet", { kind: "refuse", code: "RequestLimitExceeded", status: 503 });
    const launch = intend(1);
    await expect(provider.ensureLaunched(launch)).rejects.toMatchObject({ code: "PROVIDER_UNAVAILABLE" });
    const planned = provider.planLaunch(1);
    expect(planned).toEqual({ wait: expect.stringContaining("fewer launches"), until: now() + 1_000 });
    expect(calls("CreateFleet")).toBe(1);
    await pass(1_000);
    expect((await provider.ensureLaunched(launch)).machines).toHaveLength(1);
  });

  it("keeps to the pace that EC2 allows, however many come at once", async () => {
    const { provider, intend, fake } = await open();
    const launches = Array.from({ length: 20 }, () => intend(1));
    for (const launch of launches) {
      await provider.ensureLaunched(launch);
    }
    expect(fake.calls.filter(({ code }) => code !== null)).toEqual([]);
    expect(fake.state.left().instances).toBe(20);
  });

  it("is refused for good when EC2 refuses it, with EC2's own words", async () => {
    const { provider, intend } = await open({ authorize: ({ action }) => action !== "CreateFleet" });
    await expect(provider.ensureLaunched(intend(1))).rejects.toMatchObject({
      code: "MACHINE_LAUNCH_FAILED",
      message: expect.stringContaining("UnauthorizedOperation"),
    });
  });

  it("takes over what a program that asked in other words had made of it", async () => {
    const { provider, intend, ec2, pass } = await open({ violations: /IdempotentParameterMismatch/ });
    const launch = intend(3);
    const request = requestOf(launch, readPlan(launch.plan));
    const capacity = { TotalTargetCapacity: 2, DefaultTargetCapacityType: "spot" } as const;
    await ec2.send(new CreateFleetCommand({ ...request, TargetCapacitySpecification: capacity }));
    const { machines, missing } = await provider.ensureLaunched(launch);
    expect(missing).toEqual([{ count: 1, reason: expect.stringContaining("another request") }]);
    await pass(LISTING_MS);
    expect((await provider.list()).map(({ id }) => id).sort()).toEqual([...machines].sort());
  });

  it("counts among them one that has ended meanwhile: it was made, and what it had must be looked for", async () => {
    const { provider, intend, ec2, fake } = await open({ violations: /IdempotentParameterMismatch/ });
    const launch = intend(2);
    const request = requestOf(launch, readPlan(launch.plan));
    const capacity = { TotalTargetCapacity: 2, DefaultTargetCapacityType: "on-demand" } as const;
    await ec2.send(new CreateFleetCommand({ ...request, TargetCapacitySpecification: capacity }));
    fake.powerOff(fake.state.instances()[0]?.id ?? "");
    const { machines, missing } = await provider.ensureLaunched(launch);
    expect({ machines: machines.length, missing }).toEqual({ machines: 2, missing: [] });
  });

  it("loses no machine that another request made a moment ago and EC2 does not list yet", async () => {
    const { provider, intend, fake } = await open({
      violations: /IdempotentParameterMismatch/,
      chaos: { hiddenMs: 20_000 },
    });
    const mismatch = { kind: "refuse", code: "IdempotentParameterMismatch" } as const;
    fake.misbehave("CreateFleet", { kind: "lose-reply" }, mismatch);
    const { machines } = await provider.ensureLaunched(intend(3));
    expect(machines).toHaveLength(3);
  });

  it("came to nothing when EC2 knows it as another and lists no machine of it", async () => {
    const { provider, intend, fake } = await open({ violations: /IdempotentParameterMismatch/ });
    fake.misbehave("CreateFleet", { kind: "refuse", code: "IdempotentParameterMismatch" });
    await expect(provider.ensureLaunched(intend(1))).rejects.toMatchObject({ code: "MACHINE_LAUNCH_FAILED" });
  });

  it("asks for no spot machines for half an hour after two were taken back", async () => {
    const { provider, intend, fake, pass } = await open();
    await provider.ensureLaunched(intend(3));
    const [first, second] = fake.state.instances();
    fake.interrupt(first?.id ?? "");
    await provider.list();
    expect(intend(1).plan).toMatchObject({ purchase: "spot" });
    fake.interrupt(second?.id ?? "");
    await pass(LISTING_MS);
    await provider.list();
    expect(intend(1).plan).toMatchObject({ purchase: "on-demand" });
    await pass(30 * MINUTE);
    expect(intend(1).plan).toMatchObject({ purchase: "spot" });
  });
});

describe("the listing on EC2", () => {
  it("is one call for all who ask", async () => {
    const { provider, intend, calls } = await open();
    await provider.ensureLaunched(intend(10));
    const before = calls("DescribeInstances");
    const listings = await Promise.all(Array.from({ length: 50 }, () => provider.list()));
    expect(new Set(listings.map(({ length }) => length))).toEqual(new Set([10]));
    expect(calls("DescribeInstances")).toBe(before + 1);
  });

  it("shows the address that a machine's packets come from, and what it is made of", async () => {
    const { provider, intend, fake } = await open();
    const launch = intend(1);
    const { machines } = await provider.ensureLaunched(launch);
    const [instance] = fake.state.instances();
    const parts = [...fake.state.volumes(), ...fake.state.interfaces()].map(({ id }) => id);
    expect(await provider.list()).toEqual([
      { id: machines[0], launch: launch.id, running: true, address: instance?.privateIp, spec: provider.spec, parts },
    ]);
  });

  it("is of this fleet alone", async () => {
    const { provider, intend, ec2, config, pass } = await open();
    await provider.ensureLaunched(intend(1));
    const clock = { now: world.now };
    const log = createLog({ level: "silent" }).log;
    const other = createEc2Provider({ config: { ...config, fleet: "green" }, ec2, clock, pause: pass, log });
    expect(await other.list()).toEqual([]);
  });

  it("is read again when a page fails, and fails when it cannot be read whole", async () => {
    const { provider, intend, fake, pass } = await open();
    await provider.ensureLaunched(intend(1));
    const fault = { kind: "refuse", code: "InternalError", status: 500 } as const;
    fake.misbehave("DescribeInstances", fault, { kind: "lose-reply" });
    expect(await provider.list()).toHaveLength(1);
    await pass(LISTING_MS);
    fake.misbehave("DescribeInstances", fault, fault, fault);
    await expect(provider.list()).rejects.toMatchObject({ code: "PROVIDER_UNAVAILABLE" });
    expect(await provider.list()).toHaveLength(1);
  });

  it("is whole when it takes several pages", async () => {
    const { provider, intend, calls } = await open({ throttle: null });
    const made: MachineId[] = [];
    for (let launches = 0; launches < 21; launches++) {
      made.push(...(await provider.ensureLaunched(intend(50))).machines);
    }
    const listed = (await provider.list()).map(({ id }) => id);
    expect(listed.sort()).toEqual(made.sort());
    expect(calls("DescribeInstances")).toBe(2);
  });

  it("shows the console's end where EC2 has one", async () => {
    const { provider, intend, fake } = await open();
    const { machines } = await provider.ensureLaunched(intend(1));
    const [machine] = machines;
    const [instance] = fake.state.instances();
    fake.setConsole(instance?.id ?? "", `${"x".repeat(10_000)}the end`);
    const said = await provider.readConsole(machine ?? ("" as never));
    expect(said).toHaveLength(4_096);
    expect(said.endsWith("the end")).toBe(true);
  });
});
