import { AppError, toTerminal } from "@mayfly/core";
import { createEc2Client } from "../fleet/providers/ec2/ec2-client.ts";
import { type Sweep, sweepFleet } from "../fleet/providers/ec2/sweep.ts";
import { systemClock } from "../host/clock.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface FleetSweepFlags {
  readonly config?: string;
  readonly name?: string;
  readonly region?: string;
  readonly endpoint?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/**
 * `mayfly fleet sweep`: needs neither the service nor its store. Ends with 1 when something overdue could not be removed,
 * so that whoever runs it by the clock hears of it.
 */
export async function fleetSweep(terminal: Terminal, flags: FleetSweepFlags): Promise<number> {
  const { fleet, region, endpoint } = whichFleet(terminal, flags);
  const ec2 = createEc2Client({ region, endpoint });
  const dryRun = flags.dryRun === true;
  try {
    const sweep = await sweepFleet({ ec2, fleet, now: systemClock.now(), dryRun });
    show(terminal, sweep, { json: flags.json === true, dryRun });
    return sweep.left.length === 0 ? 0 : 1;
  } finally {
    ec2.destroy();
  }
}

/** Flags count over the settings: a sweeper with a role of its own may have no settings at all. */
function whichFleet(
  terminal: Terminal,
  flags: FleetSweepFlags,
): { fleet: string; region: string; endpoint: string | null } {
  const settings = loadSettings(terminal, { config: flags.config }).fleet.ec2;
  const fleet = flags.name ?? settings?.fleet;
  const region = flags.region ?? settings?.region;
  if (fleet === undefined || region === undefined) {
    throw new AppError("CONFIG_INVALID", "name the fleet: --name and --region, or all of fleet.ec2 in the settings");
  }
  return { fleet, region, endpoint: flags.endpoint ?? settings?.endpoint ?? null };
}

function show(terminal: Terminal, sweep: Sweep, { json, dryRun }: { json: boolean; dryRun: boolean }): void {
  if (json) {
    terminal.stdout(`${JSON.stringify(sweep)}\n`);
    return;
  }
  const { seen, overdue, removed, left } = sweep;
  for (const id of dryRun ? overdue : removed) {
    terminal.stdout(`${dryRun ? "overdue" : "removed"}  ${toTerminal(id)}\n`);
  }
  for (const { id, why } of left) {
    terminal.stdout(`left     ${toTerminal(`${id}  ${why}`)}\n`);
  }
  terminal.stderr(`${seen} things of this fleet, ${overdue.length} overdue\n`);
}
