import type { Row } from "../row.ts";

/** What stands where a row that was tried names its control. */
export const NO_CONTROL = "-";

/** Attacks on what Mayfly does not have, or that cannot be tried on one host: none at present. */
export const untriedRows: readonly Row[] = [];
