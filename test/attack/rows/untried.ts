import type { Row } from "../row.ts";

/** What stands where a row that was tried names its control. */
export const NO_CONTROL = "-";

function untried(id: string, attack: string, why: string): Row {
  return { id, attack, needs: "nothing", control: NO_CONTROL, run: async () => ({ held: null, why, cases: 0 }) };
}

/** Attacks on what Mayfly does not have, or that cannot be tried on one host, each with the reason. */
export const untriedRows: readonly Row[] = [
  untried(
    "T24",
    "A patch touches workflows, owners, manifests, hooks, links or modes.",
    "nothing puts a patch on GitHub: no token's purpose may write contents, which T38 holds to",
  ),
];
