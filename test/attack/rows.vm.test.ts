import { afterAll, describe, expect, it } from "vitest";
import { createContext } from "./context.ts";
import { SEED } from "./options.ts";
import { parts } from "./registry.ts";
import { machineRows } from "./rows/machine/rows.ts";

/** Two runs in emulated machines on a busy host. */
const ROW_MS = 1_500_000;

const { context, close } = createContext({ seed: SEED, isShort: true });

afterAll(close, ROW_MS);

describe("an attack on the whole service is withstood", () => {
  // Those of a machine have a file of their own.
  const dear = parts.filter(
    (row) => (row.needs === "service" || row.needs === "machine") && !machineRows.includes(row),
  );

  it.each(dear.map((row) => [`${row.id} ${row.attack}`, row] as const))(
    "%s",
    async (_name, row) => {
      const { held, why } = await row.run(context);
      expect([held, why]).toEqual([true, why]);
    },
    ROW_MS,
  );
});
