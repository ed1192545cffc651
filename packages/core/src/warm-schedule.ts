import type { Instant } from "./ids.ts";

/** A part of the week in which so many machines are kept warm. Times are UTC. */
export interface WarmPeriod {
  /** 0 is Sunday, as in `Date`. A range such as `fri-mon` goes over the end of the week. */
  readonly days: readonly number[];
  /** Minutes since midnight; `to` is after `from`, at most 1440, and not part of it. */
  readonly from: number;
  readonly to: number;
  readonly machines: number;
}

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const DAY = DAYS.join("|");
const TIME = "([01][0-9]|2[0-4]):([0-5][0-9])";
const PERIOD = new RegExp(`^(${DAY})(?:-(${DAY}))? ${TIME}-${TIME} (0|[1-9][0-9]{0,3})$`);
const MINUTES_OF_DAY = 24 * 60;
const MINUTE_MS = 60_000;

/** Reads `mon-fri 08:00-18:00 4`; null for anything else, also for a period that does not end after its start. */
export function readWarmPeriod(text: string): WarmPeriod | null {
  const period = parse(text);
  return period === null || !isForward(period) || period.to > MINUTES_OF_DAY ? null : period;
}

/** True for `fri 22:00-02:00 4`, which is refused: somebody meant the night, and may ask for it in two parts. */
export function isOverMidnight(text: string): boolean {
  const period = parse(text);
  return period !== null && !isForward(period);
}

function isForward({ from, to }: WarmPeriod): boolean {
  return from < to;
}

function parse(text: string): WarmPeriod | null {
  const parts = PERIOD.exec(text);
  if (parts === null) {
    return null;
  }
  const [, first = "", last = first, fromHour, fromMinute, toHour, toMinute, machines] = parts;
  const from = Number(fromHour) * 60 + Number(fromMinute);
  const to = Number(toHour) * 60 + Number(toMinute);
  const length = (DAYS.indexOf(last) - DAYS.indexOf(first) + 7) % 7;
  const days = Array.from({ length: length + 1 }, (_, index) => (DAYS.indexOf(first) + index) % 7);
  return { days, from, to, machines: Number(machines) };
}

/** How many machines the schedule wants now: the most of all periods that cover this moment, 0 if none does. */
export function scheduledWarm(periods: readonly WarmPeriod[], now: Instant): number {
  const date = new Date(now);
  const minute = Math.floor((now % (MINUTES_OF_DAY * MINUTE_MS)) / MINUTE_MS);
  const present = periods.filter(
    ({ days, from, to }) => days.includes(date.getUTCDay()) && from <= minute && minute < to,
  );
  return Math.max(0, ...present.map(({ machines }) => machines));
}
