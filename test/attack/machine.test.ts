import { afterAll, describe, expect, it } from "vitest";
import { createContext } from "./context.ts";
import { SEED } from "./options.ts";
import { machineRows } from "./rows/machine/rows.ts";
import { tryRow } from "./try-row.ts";

/** The first row boots the machine that most of the others look at. */
const ROW_MS = 30 * 60_000;
const CLOSE_MS = 5 * 60_000;

describe("a machine withstands", () => {
  const { context, close } = createContext({ seed: SEED, isShort: true });
  afterAll(close, CLOSE_MS);

  it.each(machineRows.map((row) => ({ ...row, row })))(
    "$id: $attack",
    async ({ row }) => {
      expect(await tryRow(row, context)).toMatchObject({ held: true });
    },
    ROW_MS,
  );
});
