import { dayOf, type FleetSettings, limits, machineLifeMs, machineMsOf, type Run, type Store } from "@mayfly/core";
import { RUN_MS_MAX } from "./runs.ts";
import type { Caps, Watch } from "./watch.ts";

const HOUR_MS = 60 * 60_000;
export const DOLLARS_PER_HOUR = 0.1;
/** Of the machines that could be: so many launches are left of a tight hour. */
const HOUR_SHARE = 0.6;
/** Of what living machines were promised: so much must be given back before a tight day has money again. */
const MONEY_SHARE = 0.3;

type Usage = ReturnType<Watch["usage"]> & { readonly dollars: number };

/** US dollars of the dearer of today and tomorrow, by the records: they count longer than EC2, until a machine's end is proven. */
export async function dollarsBy(store: Store, since: number, now: number): Promise<number> {
  const launches = await store.listLiveLaunches();
  const found = await Promise.all((await store.listMachinesSince(since)).map((id) => store.loadMachine(id)));
  const machines = found.flatMap((one) => one?.value ?? []);
  const ms = [now, dayOf(now).to].map((moment) => machineMsOf(launches, machines, moment));
  return (Math.max(...ms) / HOUR_MS) * DOLLARS_PER_HOUR;
}

/** The caps of one life of the service: of three, one has few launches of the hour left, one little money of the day. */
export function fleetFor(life: number, atOnce: number, usage: Usage): FleetSettings {
  const { hourly, living, dollars } = usage;
  const each = (machineLifeMs(RUN_MS_MAX, limits.cloudBootMs) / HOUR_MS) * DOLLARS_PER_HOUR;
  const isHourTight = life % 3 === 1;
  const isMoneyTight = life % 3 === 2;
  return {
    machinesMax: Math.max(4, Math.ceil(atOnce * 0.7)),
    machinesPerInstallationMax: Math.max(2, Math.ceil(atOnce * 0.25)),
    launchesPerHourMax: isHourTight ? hourly + Math.max(3, Math.ceil(atOnce * HOUR_SHARE)) : 100_000,
    money: {
      perHour: DOLLARS_PER_HOUR,
      perDayMax: isMoneyTight ? dollars + (2 - living * MONEY_SHARE) * each : 100_000,
      asOf: "2026-01-01",
    },
    warm: 0,
    warmMax: 0,
    warmSchedule: [],
    runMsMax: RUN_MS_MAX,
  };
}

export function capsOf({ machinesMax, machinesPerInstallationMax, launchesPerHourMax, money }: FleetSettings): Caps {
  return {
    machines: machinesMax,
    perInstallation: machinesPerInstallationMax ?? Infinity,
    perHour: launchesPerHourMax,
    perDay: money?.perDayMax ?? Infinity,
  };
}

/** What held runs up, by the words that people read: once for each look. */
export function noteBinding(binding: Record<string, number>, live: readonly Run[]): void {
  const words: Record<string, RegExp> = {
    machines: /all machines are at work/,
    installation: /this installation has the most/,
    hour: /launches of an hour/,
    money: /money for machines/,
    capacity: /capacity at AWS|offerings/,
  };
  const said = live.flatMap((run) => (run.phase === "queued" ? [run.waitingFor] : []));
  for (const [cap, pattern] of Object.entries(words)) {
    binding[cap] = (binding[cap] ?? 0) + (said.some((reason) => pattern.test(reason)) ? 1 : 0);
  }
}
