import { parseArgs } from "node:util";
import { type BendName, bends } from "./bends.ts";

/** What can be asked of the storm after `--`. */
export interface Options {
  readonly seed: number;
  readonly runs: number;
  readonly atOnce: number;
  readonly bend: BendName | null;
  readonly json: boolean;
  readonly log: boolean;
  readonly help: boolean;
}

const RUNS_MAX = 100_000;
const SEED_MAX = 2 ** 31 - 1;

export const usage = `npm run storm [-- options]

Sends runs through the real service before a stand-in for EC2 that does everything wrong at once, in simulated time: the
real records in a Redis of its own, the real fleet, launches, machines, claims, steps and publications, and the real EC2
provider with the AWS SDK over HTTP. The service crashes now and then at any answer it gets, and begins anew; its caps
change, and some of the time they bind. Simulated are the machines' insides, which speak to the broker's own routes; the
source, which is always ready; and GitHub, which is in memory and counts what is put on it. Redis is never lost. Ends when
every run is done. Exit code 1 if a run was lost or published twice, if anything is left at EC2, if a cap was exceeded at
any moment, or if EC2 was asked more than twice per run (for 1,000 runs and more, 200 at once); and where a signal or six
simulated hours broke it off, which says nothing of the runs that had not ended by then.

  --seed N      chance begins with this (1)
  --runs N      so many runs (1000)
  --at-once N   so many live at most (200)
  --bend NAME   breaks a rule, to see that it is noticed: ${Object.keys(bends).join(", ")}
  --log         show the service's log on standard error, each line with the simulated time
  --json        print one JSON object as the last line of standard output
  --help        show this
`;

/** Throws with words for the person who typed them. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string", default: "1" },
      runs: { type: "string", default: "1000" },
      "at-once": { type: "string", default: "200" },
      bend: { type: "string" },
      json: { type: "boolean", default: false },
      log: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  return {
    seed: whole("--seed", values.seed, 0, SEED_MAX),
    runs: whole("--runs", values.runs, 1, RUNS_MAX),
    atOnce: whole("--at-once", values["at-once"], 1, RUNS_MAX),
    bend: values.bend === undefined ? null : bendNamed(values.bend),
    json: values.json,
    log: values.log,
    help: values.help,
  };
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new Error(`${name} must be a whole number from ${least} to ${most}`);
  }
  return value;
}

function bendNamed(name: string): BendName {
  if (!Object.hasOwn(bends, name)) {
    throw new Error(`--bend must be one of ${Object.keys(bends).join(", ")}`);
  }
  return name as BendName;
}
