/**
 * What a failed call to EC2 means for whoever asked:
 * - `throttled`: too many calls; ask again later.
 * - `unknown`: nobody knows whether it was done: a lost connection, a fault of the service. The same call again is safe.
 * - `missing`: something named in the call is not there, or not yet visible.
 * - `mismatch`: the token stands for another request already.
 * - `capacity`: EC2 cannot give it now.
 * - `refused`: it will be refused again until a person changes something.
 */
export type Ec2Fault = "throttled" | "unknown" | "missing" | "mismatch" | "capacity" | "refused";

/** Which of the offerings that were asked for a lack of capacity is about. */
export type CapacityScope = "offering" | "subnet" | "purchase";

/** Limit: the codes that EC2's documentation lists for too many requests. */
const throttles = new Set([
  "RequestLimitExceeded",
  "Throttling",
  "ThrottlingException",
  "ThrottledException",
  "EC2ThrottledException",
  "TooManyRequestsException",
  "RequestThrottled",
  "RequestThrottledException",
  "SlowDown",
  "BandwidthLimitExceeded",
]);

const unknowns = new Set([
  "InternalError",
  "InternalFailure",
  "InternalServiceError",
  "ServiceUnavailable",
  "ServiceUnavailableException",
  "Unavailable",
  "RequestTimeout",
  "RequestTimeoutException",
  "PriorRequestNotComplete",
]);

/** What was lacking, and for how much of what was asked that holds. */
const capacities: Readonly<Record<string, CapacityScope>> = {
  InsufficientInstanceCapacity: "offering",
  InsufficientHostCapacity: "offering",
  InsufficientCapacity: "offering",
  InsufficientCapacityOnHost: "offering",
  UnfulfillableCapacity: "offering",
  // In an answer of CreateFleet: this type is not to be had in this zone; also what it does not fit the template.
  InvalidFleetConfiguration: "offering",
  Unsupported: "offering",
  UnsupportedOperation: "offering",
  SpotMaxPriceTooLow: "offering",
  InsufficientFreeAddressesInSubnet: "subnet",
  MaxSpotInstanceCountExceeded: "purchase",
  MaxSpotFleetRequestCountExceeded: "purchase",
  MaxFleetCountExceeded: "purchase",
  TargetCapacityLimitExceededException: "purchase",
  InstanceLimitExceeded: "purchase",
  VcpuLimitExceeded: "purchase",
  ResourceLimitExceeded: "purchase",
};

/** Anything that `send` of the SDK's client throws. */
export function faultOf(error: unknown): Ec2Fault {
  const code = codeOf(error);
  const known = faultOfCode(code);
  if (known !== "refused") {
    return known;
  }
  const status = statusOf(error);
  // Without an answer of the service nobody knows: the call may have been carried out.
  return status === null || status >= 500 ? "unknown" : "refused";
}

/** An error code of EC2, thrown or listed in an answer. */
export function faultOfCode(code: string): Ec2Fault {
  if (throttles.has(code)) {
    return "throttled";
  }
  if (unknowns.has(code)) {
    return "unknown";
  }
  if (code === "IdempotentParameterMismatch") {
    return "mismatch";
  }
  if (capacityScope(code) !== null) {
    return "capacity";
  }
  return code.endsWith(".NotFound") ? "missing" : "refused";
}

/** Null for a code that speaks of something else than capacity. */
export function capacityScope(code: string): CapacityScope | null {
  return Object.hasOwn(capacities, code) ? (capacities[code] ?? null) : null;
}

/** The code by which EC2 names a fault; the name of any other error. */
export function codeOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}

function statusOf(error: unknown): number | null {
  const metadata = (error as { $metadata?: { httpStatusCode?: unknown } } | null)?.$metadata;
  return typeof metadata?.httpStatusCode === "number" ? metadata.httpStatusCode : null;
}
