import type { Clock, Digest, Launch, LaunchId } from "@mayfly/core";
import type { SeenInstance, SeenThing } from "./describe.ts";
import type { Pause } from "./ec2-client.ts";
import { machineIdOf } from "./machine-id.ts";

export const launchId = "lch_01kb9zq3r8a1b2c3d4e5" as LaunchId;
export const spec = `sha256:${"5".repeat(64)}` as Digest;

/** A clock that only a pause moves. */
export function createTestTime(start = 1_800_000_000_000): { clock: Clock; pause: Pause; pass(ms: number): void } {
  let now = start;
  return {
    clock: { now: () => now },
    async pause(ms) {
      now += ms;
    },
    pass(ms) {
      now += ms;
    },
  };
}

export function testLaunch(overrides: Partial<Extract<Launch, { phase: "intended" }>> = {}): Launch {
  return {
    schema: 1,
    id: launchId,
    provider: "ec2",
    acceleration: "cloud",
    image: `sha256:${"1".repeat(64)}` as Digest,
    spec,
    count: 3,
    plan: {
      purchase: "spot",
      fleet: "test",
      template: { id: "lt-0123456789abcdef0", version: "7" },
      offerings: [
        { subnet: "subnet-a", type: "m7i.large" },
        { subnet: "subnet-b", type: "m7i.large" },
        { subnet: "subnet-a", type: "m7a.large" },
      ],
    },
    createdAt: 1_800_000_000_000,
    deadline: 1_800_003_600_000,
    phase: "intended",
    machines: [],
    missing: [],
    ...overrides,
  };
}

export function instanceIdNumber(number: number): string {
  return `i-${number.toString(16).padStart(17, "0")}`;
}

export function seenInstance(overrides: Partial<SeenInstance> = {}): SeenInstance {
  const id = overrides.id ?? instanceIdNumber(1);
  const machine = machineIdOf(id);
  if (machine === null) {
    throw new Error(`${id} is no instance id`);
  }
  return {
    id,
    machine,
    state: "running",
    address: "10.0.0.1",
    launchedAt: 1_800_000_000_000,
    spot: false,
    interrupted: false,
    volumes: ["vol-1"],
    interfaces: ["eni-1"],
    launch: launchId,
    deadline: 1_800_003_600_000,
    spec,
    ...overrides,
  };
}

export function seenThing(overrides: Partial<SeenThing> = {}): SeenThing {
  return {
    kind: "volume",
    id: "vol-1",
    attachedTo: [],
    loose: true,
    createdAt: 1_800_000_000_000,
    launch: launchId,
    deadline: 1_800_003_600_000,
    spec,
    ...overrides,
  };
}
