import type { EC2Client } from "@aws-sdk/client-ec2";
import type { Clock, Ec2Config, Launch } from "@mayfly/core";
import type { Pause } from "./ec2-client.ts";
import type { Ec2Plan } from "./launch-request.ts";
import type { Slip } from "./template-slips.ts";

/** What was looked at, what was seen, and what to do about all that is not as it should be. */
export interface AccountCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly seen: string;
  readonly fixes: readonly string[];
  readonly ms: number;
}

export interface LooksOptions {
  readonly ec2: EC2Client;
  readonly config: Ec2Config;
  /** What a launch would be, for asking whether it would be allowed. */
  readonly launch: Launch & { readonly plan: Ec2Plan };
  /** Addresses and ports of the broker, `10.0.1.10:8443`, where they are known: machines may go there and nowhere else. */
  readonly brokers: readonly string[];
  /** The fleet of a trial that is to follow: nothing else of it may live. Null where none follows. */
  readonly trialFleet: string | null;
  readonly pause: Pause;
  readonly clock: Clock;
  /** In ms, for how long things take. */
  readonly now: () => number;
  /** Told of each check when it is made. */
  readonly onCheck: (check: AccountCheck) => void;
  /** How long one look may take. Absent: as long as its calls, each of which has a bound. */
  readonly lookMs?: number;
  /** Told of each look that there is no use in, since EC2 does not answer. Absent: each is tried all the same. */
  readonly onSkipped?: (name: string) => void;
}

/** What one look has seen, and what of it is wrong. */
export interface Look {
  readonly seen: string;
  readonly slips?: readonly Slip[];
}

/** A look that could not be, since another one failed. */
export function unseen(what: string): Look {
  const seen = `not looked at, since the ${what} could not be read`;
  return { seen, slips: [{ seen, fix: `mend what is said of the ${what}` }] };
}
