import { describe, expect, it } from "vitest";
import { singleFlight } from "./single-flight.ts";

/** A step that ends when told to. */
function controlled() {
  const begun: string[] = [];
  const open: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const step = (id: string) => {
    begun.push(id);
    return new Promise<void>((resolve, reject) => open.push({ resolve, reject }));
  };
  return { begun, open, fly: singleFlight(step) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("single flight", () => {
  it("takes one step at a time for an id, and once more for all who came meanwhile", async () => {
    const { begun, open, fly } = controlled();
    const first = fly("a");
    await Promise.all([fly("a"), fly("a"), fly("a")]);
    expect(begun).toEqual(["a"]);
    open[0]?.resolve();
    await turn();
    expect(begun).toEqual(["a", "a"]);
    open[1]?.resolve();
    await first;
    expect(begun).toEqual(["a", "a"]);
  });

  it("does not let ids wait for each other", () => {
    const { begun, open, fly } = controlled();
    const flights = [fly("a"), fly("b")];
    expect(begun).toEqual(["a", "b"]);
    open.forEach(({ resolve }) => resolve());
    return Promise.all(flights);
  });

  it("begins anew after it has ended", async () => {
    const { begun, open, fly } = controlled();
    const first = fly("a");
    open[0]?.resolve();
    await first;
    const second = fly("a");
    open[1]?.resolve();
    await second;
    expect(begun).toEqual(["a", "a"]);
  });

  it("tells of a failure and is free again", async () => {
    const { begun, open, fly } = controlled();
    const first = fly("a");
    open[0]?.reject(new Error("no"));
    await expect(first).rejects.toThrow("no");
    const second = fly("a");
    open[1]?.resolve();
    await second;
    expect(begun).toEqual(["a", "a"]);
  });
});
