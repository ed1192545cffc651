import { afterAll, describe, expect, it } from "vitest";
import { createContext } from "./context.ts";
import { SEED } from "./options.ts";
import { parts, rows } from "./registry.ts";

/** A short row takes seconds; the rest is for a busy host. */
const ROW_MS = 240_000;

const { context, close } = createContext({ seed: SEED, isShort: true });

afterAll(close, ROW_MS);

describe("the register", () => {
  it("has its rows in order, each with a sentence and a control", () => {
    expect(rows.map(({ id }) => id)).toEqual(
      Array.from({ length: 41 }, (_, index) => `T${String(index + 1).padStart(2, "0")}`),
    );
    expect(rows.filter(({ attack, control }) => !attack.endsWith(".") || control === "")).toEqual([]);
  });
});

describe("an attack is withstood in its short form", () => {
  const cheap = parts.filter(({ needs }) => needs === "nothing" || needs === "redis");

  it.each(cheap.map((row) => [`${row.id} ${row.attack}`, row] as const))(
    "%s",
    async (_name, row) => {
      const { held, why, cases } = await row.run(context);
      expect([held, why]).toEqual([true, why]);
      expect(cases).toBeGreaterThan(0);
    },
    ROW_MS,
  );
});
