import type { Digest, Ec2Config } from "@mayfly/core";
import { createEc2Client } from "../../apps/orchestrator/src/fleet/providers/ec2/ec2-client.ts";
import type { Ec2Fake } from "../fakes/ec2/server.ts";
import { addTemplate } from "../fakes/ec2/testing.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const TYPES = ["m7i.large", "m7a.large", "m6i.large"];

/** Everything at once, each more often than EC2 does it. */
export const chaos = {
  hiddenMs: 20 * SECOND,
  lostReplies: 0.03,
  lostCalls: 0.03,
  duplicates: 0.03,
  errors: 0.03,
  noCapacity: 0.15,
  leaks: 0.05,
  interruptions: 0.08,
  interruptWithinMs: 8 * MINUTE,
};
export const pace = { pendingMs: 8 * SECOND, terminationMs: 2 * MINUTE, skippedTerminationMs: 25 * SECOND };
const mismatch = { kind: "refuse", code: "IdempotentParameterMismatch" } as const;

/** The next launch is carried out without an answer, and then said to be another one. */
export function mistakeNextLaunch(fake: Ec2Fake): void {
  fake.misbehave("CreateFleet", { kind: "lose-reply" }, mismatch);
}

export function powerOff(fake: Ec2Fake, id: string): void {
  const isAlive = fake.state.instances().some((one) => one.id === id && ["pending", "running"].includes(one.phase));
  if (isAlive) {
    fake.powerOff(id);
  }
}

export function isEmpty(fake: Ec2Fake): boolean {
  const { instances, volumes, interfaces } = fake.state.left();
  return instances + volumes + interfaces === 0;
}

export async function settingsOf(fake: Ec2Fake): Promise<Ec2Config> {
  const { url, region, credentials, place } = fake;
  const client = createEc2Client({ region, endpoint: url, credentials });
  const id = await addTemplate(client, fake);
  client.destroy();
  return {
    fleet: "storm",
    region,
    endpoint: url,
    launchTemplate: { id, version: 1 },
    image: `sha256:${"1".repeat(64)}` as Digest,
    subnets: place.subnets.map((subnet) => subnet.id),
    instanceTypes: TYPES,
    spot: true,
    launchBurst: 5,
    launchesPerSecond: 2,
    noticesQueue: null,
  };
}

/** Spot alone is not enough for all, and no offering is. */
export function limitCapacity(fake: Ec2Fake, atOnce: number): void {
  fake.setQuota("spot", Math.ceil(atOnce * 0.6));
  fake.setCapacity(...TYPES.map((type) => ({ type, lifecycle: "spot" as const, machines: Math.ceil(atOnce / 4) })));
}
