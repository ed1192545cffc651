/**
 * The sweeper as Lambda runs it: what `mayfly fleet sweep` does, bundled from the same source, so that it decides the
 * same. It goes by tags alone and needs nothing of the service, so that it works when nothing else does.
 */
import { EC2Client } from "@aws-sdk/client-ec2";
import { sweepFleet } from "../../../apps/orchestrator/src/fleet/providers/ec2/sweep.ts";
import { trialFleetOf } from "../../../apps/orchestrator/src/fleet/providers/ec2/tags.ts";

/** What the alarms and a person read of a sweep: one line of JSON. */
export interface Swept {
  readonly msg: "swept";
  readonly fleet: string;
  readonly seen: number;
  /** How many were removed. */
  readonly total: number;
  readonly removed: readonly string[];
  /** Refused, or put off to the next sweep. */
  readonly left: readonly { readonly id: string; readonly why: string }[];
}

/** Sweeps once and says what it did. Throws what `sweepFleet` throws. */
export async function sweepOnce(options: { ec2: EC2Client; fleet: string; now: number }): Promise<Swept> {
  const { seen, removed, left } = await sweepFleet(options);
  return { msg: "swept", fleet: options.fleet, seen, total: removed.length, removed, left };
}

/** Fails when anything due is still there, so that an alarm tells: the next sweep tries again. */
export async function handler(): Promise<void> {
  const { FLEET: fleet = "" } = process.env;
  if (fleet === "") {
    throw new Error("FLEET is not set");
  }
  // No call is repeated by the SDK: a sweep that was cut short is followed by another.
  const ec2 = new EC2Client({ maxAttempts: 1 });
  let left = 0;
  for (const name of [fleet, trialFleetOf(fleet)]) {
    const swept = await sweepOnce({ ec2, fleet: name, now: Date.now() });
    console.log(JSON.stringify(swept));
    left += swept.left.length;
  }
  if (left > 0) {
    throw new Error(`${left} things could not be ended`);
  }
}
