import { type Ec2Config, intendLaunch } from "@mayfly/core";
import type { LooksOptions } from "../fleet/providers/ec2/account-look.ts";
import type { Ec2Plan } from "../fleet/providers/ec2/launch-request.ts";
import { systemClock } from "../host/clock.ts";
import { randomIds } from "../host/ids.ts";

/** A launch as the service would make it, of one machine on demand: for asking whether it would be allowed. */
export function dryLaunch(settings: Ec2Config): LooksOptions["launch"] {
  const { launchTemplate, subnets, instanceTypes, image } = settings;
  const plan: Ec2Plan = {
    purchase: "on-demand",
    fleet: settings.fleet,
    template: { id: launchTemplate.id, version: String(launchTemplate.version) },
    offerings: instanceTypes.flatMap((type) => subnets.map((subnet) => ({ subnet, type }))),
  };
  const now = systemClock.now();
  const provider = { name: "ec2", acceleration: "cloud", image, spec: image } as const;
  return { ...intendLaunch({ id: randomIds.launch(now), provider, count: 1, plan, now, runMsMax: 0 }), plan };
}
