import { describe, expect, it } from "vitest";
import { capacityScope, faultOf } from "./ec2-faults.ts";

function ec2Error(name: string, httpStatusCode?: number): Error {
  return Object.assign(
    new Error("said"),
    { name },
    httpStatusCode === undefined ? {} : { $metadata: { httpStatusCode } },
  );
}

describe("a failed call", () => {
  it.each([
    ["RequestLimitExceeded", 503, "throttled"],
    ["Throttling", 400, "throttled"],
    ["InternalError", 500, "unknown"],
    ["SomethingNew", 502, "unknown"],
    ["IdempotentParameterMismatch", 400, "mismatch"],
    ["InsufficientInstanceCapacity", 500, "capacity"],
    ["VcpuLimitExceeded", 400, "capacity"],
    ["InvalidInstanceID.NotFound", 400, "missing"],
    ["UnauthorizedOperation", 403, "refused"],
    ["SomethingNew", 400, "refused"],
  ] as const)("with %s and status %i is %s", (name, status, fault) => {
    expect(faultOf(ec2Error(name, status))).toBe(fault);
  });

  it.each([
    ec2Error("TimeoutError"),
    ec2Error("AbortError"),
    Object.assign(new Error("x"), { code: "ECONNRESET" }),
    "x",
  ])("without an answer is nobody's knowledge: %s", (error) => {
    expect(faultOf(error)).toBe("unknown");
  });

  it("says what a lack of capacity is about", () => {
    expect(capacityScope("InsufficientInstanceCapacity")).toBe("offering");
    expect(capacityScope("InvalidFleetConfiguration")).toBe("offering");
    expect(capacityScope("InsufficientFreeAddressesInSubnet")).toBe("subnet");
    expect(capacityScope("MaxSpotInstanceCountExceeded")).toBe("purchase");
    expect(capacityScope("toString")).toBeNull();
  });
});
