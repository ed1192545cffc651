import { describe, expect, it } from "vitest";
import { runOf } from "./fleet.fixture.ts";
import { lineUp } from "./fleet-line.ts";
import type { Run } from "./run.ts";

const names = (runs: readonly Run[]) => runs.map(({ id }) => id.slice(-1)).join("");
const line = (runs: readonly Run[], most: number | null = null) => {
  const { next, held } = lineUp(runs, most);
  return { next: names(next), held: names(held) };
};

describe("the line of waiting runs", () => {
  it("is by age where all are of one installation", () => {
    expect(line([runOf("1", 7), runOf("2", 7), runOf("3", 7)])).toEqual({ next: "123", held: "" });
  });

  it("takes turns between installations, however many runs one of them has and however early", () => {
    const runs = [runOf("1", 7), runOf("2", 7), runOf("3", 7), runOf("4", 8), runOf("5", 9), runOf("6", 8)];
    expect(line(runs).next).toBe("145263");
  });

  it("gives the next machine to whoever has the fewest", () => {
    const runs = [runOf("1", 7, "running"), runOf("2", 7, "running"), runOf("3", 7), runOf("4", 8), runOf("5", 8)];
    expect(line(runs).next).toBe("453");
  });

  it("holds back what would be more than an installation may have", () => {
    const runs = [runOf("1", 7, "running"), runOf("2", 7), runOf("3", 7), runOf("4", 8)];
    expect(line(runs, 2)).toEqual({ next: "42", held: "3" });
    expect(line(runs, 1)).toEqual({ next: "4", held: "23" });
  });

  it("gives an installation's place to a run whose source is ready, however old the others are", () => {
    const unready: Run = { ...runOf("1", 7), phase: "queued", since: 0, source: null, waitingFor: "the source" };
    const runs = [unready, runOf("2", 7), runOf("3", 7), runOf("4", 8)];
    expect(line(runs, 1)).toEqual({ next: "24", held: "31" });
    expect(line(runs).next).toBe("2431");
  });

  it("counts everybody on this host as one, apart from installations", () => {
    const runs = [runOf("1", null, "running"), runOf("2", null), runOf("3", 0), runOf("4", 0)];
    expect(line(runs, 1)).toEqual({ next: "3", held: "24" });
  });
});
