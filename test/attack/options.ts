import { parseArgs } from "node:util";

export interface AttackOptions {
  /** Rows to try; null for all. */
  readonly only: readonly string[] | null;
  readonly json: boolean;
  readonly seed: number;
  readonly short: boolean;
  readonly mutants: boolean;
  readonly help: boolean;
}

/** Attacks are the same on every day, unless somebody asks for others. */
export const SEED = 20_261_122;

export const usage = `npm run attack [-- options]

Tries what Mayfly claims to withstand, row by row, on its real parts. Then switches each defence off in a copy of the
source and looks whether the row notices: a test that cannot fail proves nothing. Exit code 0 if every row that was
tried has held and every missing defence was noticed.

  --only T12[,T13]  try these rows, and their defences, alone
  --short           few cases of each, as npm test does
  --no-mutants      leave every defence on
  --seed N          other random cases than the usual (${SEED})
  --json            print one JSON document as the last line of standard output
  --help            show this
`;

/** Throws with words for the person who typed them. */
export function readOptions(args: readonly string[], known: readonly string[]): AttackOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      json: { type: "boolean", default: false },
      seed: { type: "string" },
      short: { type: "boolean", default: false },
      "no-mutants": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const only = values.only?.split(",").map((id) => id.trim().toUpperCase()) ?? null;
  const strange = only?.find((id) => !known.includes(id));
  if (strange !== undefined) {
    throw new Error(`there is no row ${strange}: they are ${known[0]} to ${known.at(-1)}`);
  }
  const seed = values.seed === undefined ? SEED : Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new Error(`--seed takes a whole number, not ${values.seed}`);
  }
  const { json, short, help } = values;
  return { only, json, seed, short, help, mutants: !values["no-mutants"] };
}
