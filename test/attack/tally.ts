import type { Verdict } from "./row.ts";

/** Failures that a verdict spells out: more would only hide the first. */
const SHOWN_MAX = 3;
const SHOWN_CHARS_MAX = 600;

/** Counts the cases of one row, and what went wrong in them. */
export interface Tally {
  /** One case: it held if `held`. `what` is asked only when it did not. */
  expect(held: boolean, what: string | (() => string)): void;
  /** The same, for a value that must be exactly another: both are shown. */
  equal(seen: unknown, wanted: unknown, what: string): void;
  /** So many cases more, which the next `expect` has judged or has judged before. */
  count(cases: number): void;
  /** Something that must be found, or a defence that must be missed: shows that this row's looking finds things. */
  control(tripped: boolean, what: string): void;
  /** True once something has not held, for loops that have seen enough. */
  readonly isBroken: boolean;
  verdict(seen: string): Verdict;
}

/** How the verdict of a row begins whose looking found nothing where something was. */
export const CONTROL_IDLE = "its control did not trip";

export function createTally(): Tally {
  const failures: string[] = [];
  let cases = 0;
  let controls = 0;
  const idle: string[] = [];
  const tally: Tally = {
    expect(held, what) {
      cases += 1;
      if (!held) {
        failures.push(typeof what === "function" ? what() : what);
      }
    },
    equal(seen, wanted, what) {
      const [one, other] = [JSON.stringify(seen), JSON.stringify(wanted)];
      tally.expect(one === other, () => `${what}: ${one} instead of ${other}`);
    },
    count(more) {
      cases += more;
    },
    control(tripped, what) {
      controls += 1;
      if (!tripped) {
        idle.push(what);
      }
    },
    get isBroken() {
      return failures.length > 0;
    },
    verdict(seen) {
      if (failures.length > 0) {
        return { held: false, why: told(failures), cases };
      }
      if (controls === 0) {
        return { held: false, why: "it has no control, so it cannot be seen to be able to fail", cases };
      }
      if (idle.length > 0) {
        return { held: false, why: `${CONTROL_IDLE}: ${cut(idle.join("; "))}`, cases };
      }
      if (cases === 0) {
        return { held: false, why: "it tried nothing", cases };
      }
      return { held: true, why: seen, cases };
    },
  };
  return tally;
}

function told(failures: readonly string[]): string {
  const more = failures.length - SHOWN_MAX;
  return failures.slice(0, SHOWN_MAX).map(cut).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

function cut(text: string): string {
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text;
}
