import { z } from "zod";
import { checkEc2, type Ec2Config, ec2Of, Ec2Settings } from "./config-ec2.ts";
import type { FleetSettings } from "./fleet-plan.ts";
import { limits } from "./limits.ts";
import { setting, wholeNumber } from "./setting.ts";
import { isOverMidnight, readWarmPeriod, type WarmPeriod } from "./warm-schedule.ts";

/** Beyond a thousand machines a fleet wants more than one service. */
const MACHINES_MAX = 1_000;
/** A thousand machines that live for a minute each. */
const LAUNCHES_PER_HOUR_MAX = 60_000;
/** Enough for a fleet of a hundred machines with runs of ten minutes; far less than a loop would launch. */
const LAUNCHES_PER_HOUR_DEFAULT = 600;
const USD_MAX = 1_000_000;
/** A week has as many half-days. */
const PERIODS_MAX = 14;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A union, though of one: a number with a fraction. One message for every way to miss it. */
const dollars = (what: string) => {
  const rule = `must be ${what} from 0 to ${USD_MAX}`;
  return z
    .union([z.number(rule).min(0, rule).max(USD_MAX, rule)], rule)
    .nullable()
    .default(null);
};

const providers = ["qemu", "ec2"] as const;

const Period = z.string().transform((text, context): WarmPeriod => {
  const period = readWarmPeriod(text);
  if (period === null) {
    const message = isOverMidnight(text)
      ? "must end after its start: split it at midnight"
      : "must be days, times and machines such as mon-fri 08:00-18:00 4";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }
  return period;
});

/** `fleet` */
export const FleetSection = z.strictObject({
  provider: setting(
    { environment: "MAYFLY_PROVIDER", description: "What makes the machines: `qemu`, on this host, or `ec2`, at AWS." },
    z.enum(providers).default("qemu"),
  ),
  machines_max: setting(
    { environment: "MAYFLY_MACHINES_MAX", description: "Machines at once, at most." },
    wholeNumber(1, MACHINES_MAX).default(limits.machinesMaxDefault),
  ),
  machines_per_installation_max: setting(
    {
      environment: "MAYFLY_MACHINES_PER_INSTALLATION_MAX",
      description: "Machines at work for one GitHub account at once, at most. Its further runs wait and say so.",
      defaultText: "none: as many as there are",
    },
    wholeNumber(1, MACHINES_MAX).nullable().default(null),
  ),
  launches_per_hour_max: setting(
    { environment: "MAYFLY_LAUNCHES_PER_HOUR_MAX", description: "Machines launched in any hour, at most." },
    wholeNumber(1, LAUNCHES_PER_HOUR_MAX).default(LAUNCHES_PER_HOUR_DEFAULT),
  ),
  machine_price_per_hour: setting(
    {
      environment: "MAYFLY_MACHINE_PRICE_PER_HOUR",
      description:
        "What a machine costs for an hour, in US dollars, as you pay it. Needed with `fleet.money_per_day_max`.",
    },
    dollars("US dollars for an hour"),
  ),
  machine_price_as_of: setting(
    {
      environment: "MAYFLY_MACHINE_PRICE_AS_OF",
      description: "The day on which you looked that price up, `YYYY-MM-DD`. Needed with it.",
    },
    z.iso.date("must be a day such as 2026-01-31").nullable().default(null),
  ),
  money_per_day_max: setting(
    {
      environment: "MAYFLY_MACHINE_MONEY_PER_DAY_MAX",
      description:
        "What machines may cost in a day (UTC), in US dollars. A machine is launched only if the day can pay for it up to its deadline; what it does not use is given back when it is gone.",
      defaultText: "none: no limit",
    },
    dollars("US dollars for a day"),
  ),
  memory_mib: setting(
    { environment: "MAYFLY_MACHINE_MEMORY_MIB", description: "A machine's memory, in MiB. Its disk is in there too." },
    wholeNumber(512, 1_048_576).default(2048),
  ),
  cpus: setting(
    { environment: "MAYFLY_MACHINE_CPUS", description: "A machine's processors." },
    wholeNumber(1, 256).default(2),
  ),
  allow_emulation: setting(
    {
      environment: "MAYFLY_ALLOW_EMULATION",
      description: "Run machines without KVM too: slow, and only for code you trust. Receipts say `emulated`.",
    },
    z.boolean("must be true or false").default(false),
  ),
  warm: setting(
    { environment: "MAYFLY_WARM", description: "Machines that are kept booted and waiting." },
    wholeNumber(0, MACHINES_MAX).default(0),
  ),
  warm_max: setting(
    {
      environment: "MAYFLY_WARM_MAX",
      description:
        "Keep as many machines booted as runs come while one boots (counted over ten minutes), but no more than this. 0: only what `fleet.warm` and the schedule say.",
    },
    wholeNumber(0, MACHINES_MAX).default(0),
  ),
  warm_schedule: setting(
    {
      environment: "MAYFLY_WARM_SCHEDULE",
      description:
        "Machines that are kept booted at times of the week (UTC): days, times and machines, such as `mon-fri 08:00-18:00 4`. Where periods meet, the most counts.",
      defaultText: "none",
    },
    z.array(Period).max(PERIODS_MAX).default([]),
  ),
  ec2: Ec2Settings.prefault({}),
});
type FleetSection = z.infer<typeof FleetSection>;

export interface FleetConfig extends FleetSettings {
  readonly provider: (typeof providers)[number];
  readonly memoryMib: number;
  readonly cpus: number;
  readonly allowEmulation: boolean;
  /** Null while something of it is not set. */
  readonly ec2: Ec2Config | null;
}

/** Reports what only makes sense together. */
export function checkFleet(
  fleet: FleetSection,
  environmentOf: (key: string) => string,
  report: (key: string, message: string) => void,
): void {
  const most = fleet.machines_max;
  for (const name of ["warm", "warm_max", "machines_per_installation_max"] as const) {
    if ((fleet[name] ?? 0) > most) {
      report(`fleet.${name}`, `fleet.${name} is ${fleet[name]}, more than fleet.machines_max allows (${most})`);
    }
  }
  const scheduled = Math.max(0, ...fleet.warm_schedule.map(({ machines }) => machines));
  if (scheduled > most) {
    report("fleet.warm_schedule", `it keeps ${scheduled} machines, more than fleet.machines_max allows (${most})`);
  }
  checkRenewals(fleet, report);
  checkEc2(fleet.ec2, fleet.provider, environmentOf, report);
  const parts = ["machine_price_per_hour", "machine_price_as_of", "money_per_day_max"] as const;
  const missing = parts.filter((name) => fleet[name] === null);
  const given = parts.find((name) => fleet[name] !== null);
  if (given !== undefined && missing.length > 0) {
    const names = missing.map((name) => `fleet.${name} (${environmentOf(`fleet.${name}`)})`);
    report(`fleet.${given}`, `a limit on money needs ${names.join(" and ")} as well`);
  }
}

/** A warm machine ends when it has waited long enough, and another is launched. */
function checkRenewals(fleet: FleetSection, report: (key: string, message: string) => void): void {
  const { warm, launches_per_hour_max: most } = fleet;
  const renewals = (warm * HOUR_MS) / limits.idleMachineMs;
  if (renewals > most) {
    const wait = `machines wait for ${limits.idleMachineMs / MINUTE_MS} minutes at most`;
    const message = `that is ${renewals} launches an hour, more than fleet.launches_per_hour_max allows (${most})`;
    report("fleet.warm", `fleet.warm is ${warm}, and ${wait}: ${message}`);
  }
}

/** Takes what `checkFleet` had nothing to say against. */
export function fleetOf(fleet: FleetSection, runMsMax: number): FleetConfig {
  const { machine_price_per_hour: perHour, machine_price_as_of: asOf, money_per_day_max: perDayMax } = fleet;
  return {
    provider: fleet.provider,
    machinesMax: fleet.machines_max,
    machinesPerInstallationMax: fleet.machines_per_installation_max,
    launchesPerHourMax: fleet.launches_per_hour_max,
    money: perHour === null || asOf === null || perDayMax === null ? null : { perHour, perDayMax, asOf },
    memoryMib: fleet.memory_mib,
    cpus: fleet.cpus,
    allowEmulation: fleet.allow_emulation,
    ec2: ec2Of(fleet.ec2),
    warm: fleet.warm,
    warmMax: fleet.warm_max,
    warmSchedule: fleet.warm_schedule,
    runMsMax,
  };
}
