import { describe, expect, it } from "vitest";
import { createVirtualTime } from "./time.ts";

const never = async () => false;

describe("simulated time", () => {
  it("goes from timer to timer, in their order, while nothing is at work", async () => {
    const time = createVirtualTime({ start: 1_000, tickMs: 10 });
    const seen: number[] = [];
    const note = () => void seen.push(time.now());
    time.after(35, note);
    time.after(5, () => void time.during(Promise.resolve()).then(() => time.after(5, note)));
    time.after(20, note)();
    await time.run(never);
    expect(seen).toEqual([1_020, 1_040]);
  });

  it("stands still while something is at work, and ends at a signal all the same", async () => {
    const time = createVirtualTime({ start: 0, tickMs: 10 });
    const stop = new AbortController();
    time.after(10, () => {
      void time.during(new Promise(() => undefined));
      setImmediate(() => stop.abort());
    });
    time.after(20, () => expect.unreachable());
    await time.run(async () => stop.signal.aborted, stop.signal);
    expect(time.now()).toBe(10);
  });
});
