import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { defences } from "./defences.ts";
import { rows } from "./registry.ts";
import { untriedRows } from "./rows/untried.ts";

const root = new URL("../..", import.meta.url).pathname;

describe("the defences that are switched off", () => {
  it.each(defences.map((defence) => [`${defence.row} without ${defence.name}`, defence] as const))(
    "stand in the source once: %s",
    async (_name, { file, find, replace }) => {
      const text = await readFile(join(root, file), "utf8");
      expect(text.split(find)).toHaveLength(2);
      expect(text.replace(find, () => replace)).not.toBe(text);
    },
  );

  it("are missing from no row that is tried, unless it says why", () => {
    const untried = untriedRows.map(({ id }) => id);
    const defended = new Set(defences.map(({ row }) => row));
    const unclear = rows.filter(
      ({ id, undefended }) => !untried.includes(id) && defended.has(id) === (undefended !== undefined),
    );
    expect(unclear.map(({ id }) => id)).toEqual([]);
  });

  it("belong to rows that are there, each under a name of its own", () => {
    const known = rows.map(({ id }) => id);
    expect(defences.filter(({ row }) => !known.includes(row))).toEqual([]);
    expect(new Set(defences.map(({ row, name }) => `${row} ${name}`)).size).toBe(defences.length);
  });
});
