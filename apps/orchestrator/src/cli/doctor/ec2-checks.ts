import { type Ec2Config, limits } from "@mayfly/core";
import { lookAtAccount } from "../../fleet/providers/ec2/account-looks.ts";
import { createEc2Client, systemPause } from "../../fleet/providers/ec2/ec2-client.ts";
import { systemClock } from "../../host/clock.ts";
import { dryLaunch } from "../dry-launch.ts";
import type { Checklist } from "./checklist.ts";

/** What `mayfly verify-ec2 --dry-run` looks at. Nothing is launched, and the broker's addresses are not asked for. */
export async function lookAtEc2(list: Checklist, config: Ec2Config): Promise<void> {
  const { region, endpoint } = config;
  const ec2 = createEc2Client({ region, endpoint });
  try {
    await lookAtAccount({
      ec2,
      config,
      launch: dryLaunch(config),
      brokers: [],
      trialFleet: null,
      pause: systemPause,
      clock: systemClock,
      now: () => performance.now(),
      lookMs: limits.doctorMachinesMs,
      onCheck: ({ name, ok, seen, fixes, ms }) =>
        list.tell({ name: `ec2 ${name}`, status: ok ? "ok" : "fail", seen, fixes, ms: Math.round(ms) }),
      onSkipped: (name) => list.skip([`ec2 ${name}`], "EC2 does not answer to these credentials"),
    });
  } finally {
    ec2.destroy();
  }
}
