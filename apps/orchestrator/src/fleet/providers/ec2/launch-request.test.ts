import { describe, expect, it } from "vitest";
import type { LaunchId } from "@mayfly/core";
import { readPlan, requestOf } from "./launch-request.ts";
import { spec, testLaunch } from "./testing.fixture.ts";

const launch = testLaunch();
const plan = readPlan(launch.plan);

describe("the request of a launch", () => {
  it("asks at once for spot machines of every offering, by a pinned template", () => {
    expect(requestOf(launch, plan)).toMatchObject({
      Type: "instant",
      TargetCapacitySpecification: { TotalTargetCapacity: 3, DefaultTargetCapacityType: "spot" },
      SpotOptions: { AllocationStrategy: "price-capacity-optimized" },
      LaunchTemplateConfigs: [
        {
          LaunchTemplateSpecification: { LaunchTemplateId: "lt-0123456789abcdef0", Version: "7" },
          Overrides: [
            { SubnetId: "subnet-a", InstanceType: "m7i.large" },
            { SubnetId: "subnet-b", InstanceType: "m7i.large" },
            { SubnetId: "subnet-a", InstanceType: "m7a.large" },
          ],
        },
      ],
    });
  });

  it("prefers the first instance type where all cost what they cost", () => {
    const request = requestOf(launch, { ...plan, purchase: "on-demand" });
    expect(request.OnDemandOptions).toEqual({ AllocationStrategy: "prioritized" });
    expect(request.SpotOptions).toBeUndefined();
    expect(request.LaunchTemplateConfigs?.[0]?.Overrides?.map(({ Priority }) => Priority)).toEqual([0, 0, 1]);
  });

  it("tags everything that it makes in the same call", () => {
    const specifications = requestOf(launch, plan).TagSpecifications ?? [];
    expect(specifications.map(({ ResourceType }) => ResourceType)).toEqual([
      "instance",
      "volume",
      "network-interface",
      "fleet",
    ]);
    for (const { Tags } of specifications) {
      expect(Tags).toContainEqual({ Key: "mayfly:fleet", Value: "test" });
      expect(Tags).toContainEqual({ Key: "mayfly:launch", Value: launch.id });
      expect(Tags).toContainEqual({ Key: "mayfly:deadline", Value: new Date(launch.deadline).toISOString() });
      expect(Tags).toContainEqual({ Key: "mayfly:spec", Value: spec });
    }
  });

  it("is the same whenever it is made anew", () => {
    expect(requestOf(structuredClone(launch), readPlan(structuredClone(launch.plan)))).toEqual(requestOf(launch, plan));
  });

  it("has a token that EC2 takes, and another one for whatever differs", () => {
    const tokens = [
      requestOf(launch, plan),
      requestOf(testLaunch({ id: "lch_01kb9zq3r8a1b2c3d4e6" as LaunchId }), plan),
      requestOf(testLaunch({ count: 4 }), plan),
      requestOf(testLaunch({ deadline: launch.deadline + 1 }), plan),
      requestOf(launch, { ...plan, purchase: "on-demand" }),
      requestOf(launch, { ...plan, template: { ...plan.template, version: "8" } }),
      requestOf(launch, { ...plan, offerings: plan.offerings.slice(1) }),
      requestOf(launch, { ...plan, fleet: "other" }),
    ].map(({ ClientToken }) => ClientToken);
    expect(new Set(tokens).size).toBe(tokens.length);
    tokens.forEach((token) => expect(token).toMatch(/^[\x21-\x7e]{1,64}$/));
  });

  it.each([{}, { purchase: "spot" }, { ...plan, extra: 1 }, { ...plan, offerings: [] }])(
    "is not made of a plan that this version does not understand: %j",
    (other) => {
      expect(() => readPlan(other)).toThrow(expect.objectContaining({ code: "MACHINE_LAUNCH_FAILED" }));
    },
  );
});
