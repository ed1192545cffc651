import { describe, expect, it } from "vitest";
import { createContext } from "./context.ts";
import type { Row, Verdict } from "./row.ts";
import { joinParts } from "./row-parts.ts";

const { context } = createContext({ seed: 1, isShort: true });

function part(held: Verdict["held"], needs: Row["needs"] = "nothing"): Row {
  const why = `${needs}: ${held}`;
  return { id: "T01", attack: "It is attacked.", needs, control: why, run: async () => ({ held, why, cases: 1 }) };
}

describe("a row of several parts", () => {
  it("has held when all of them have", async () => {
    const { held, cases } = await joinParts([part(true), part(true, "redis")]).run(context);
    expect([held, cases]).toEqual([true, 2]);
  });

  it.each([0, 1, 2])("has not held when one has not, be it number %d, and says why", async (at) => {
    const parts = [part(true), part(true), part(true)].with(at, part(false));
    expect(await joinParts(parts).run(context)).toEqual({ held: false, why: "nothing: false", cases: at + 1 });
  });

  it("is untried when one is, unless another has not held", async () => {
    expect((await joinParts([part(null), part(true)]).run(context)).held).toBe(null);
    expect((await joinParts([part(null), part(false)]).run(context)).held).toBe(false);
  });

  it("tries first what needs least, and needs what its last part needs", async () => {
    const row = joinParts([part(false, "machine"), part(false)]);
    expect([row.needs, (await row.run(context)).why]).toEqual(["machine", "nothing: false"]);
  });
});
