import { describe, expect, it } from "vitest";
import { createTurnstile } from "./turnstile.ts";

function turnstile(bounds: Partial<Parameters<typeof createTurnstile>[0]> = {}) {
  let now = 1_000_000;
  const made = createTurnstile(
    { atOnceMax: 100, eachAtOnceMax: 100, burst: 100, perSecond: 1, ...bounds },
    { now: () => now },
  );
  return { enter: made.enter, pass: (ms: number) => void (now += ms) };
}

describe("a turnstile", () => {
  it("lets as many in at once as there is room for, and the next when one has left", () => {
    const { enter } = turnstile({ atOnceMax: 2 });
    const leave = enter("a");
    expect(enter("b")).not.toBeNull();
    expect(enter("c")).toBeNull();
    leave?.();
    // A place is given back once, however often that is said.
    leave?.();
    expect(enter("c")).not.toBeNull();
    expect(enter("d")).toBeNull();
  });

  it("keeps the places of one address from being all places", () => {
    const { enter } = turnstile({ eachAtOnceMax: 1 });
    const leave = enter("a");
    expect(enter("a")).toBeNull();
    expect(enter("b")).not.toBeNull();
    leave?.();
    expect(enter("a")).not.toBeNull();
  });

  it("gives an address its burst and then its rate", () => {
    const { enter, pass } = turnstile({ burst: 2, perSecond: 0.5 });
    enter("a")?.();
    enter("a")?.();
    expect(enter("a")).toBeNull();
    expect(enter("b")).not.toBeNull();
    pass(1_900);
    expect(enter("a")).toBeNull();
    pass(200);
    enter("a")?.();
    expect(enter("a")).toBeNull();
    pass(60_000);
    enter("a")?.();
    enter("a")?.();
    expect(enter("a")).toBeNull();
  });

  it("remembers so many addresses, and forgets those that have been quiet", () => {
    const { enter, pass } = turnstile({ burst: 1 });
    for (let i = 0; i < 8_192; i++) {
      enter(`10.0.${i >> 8}.${i & 255}`)?.();
    }
    expect(enter("192.0.2.1")).toBeNull();
    pass(1_000);
    expect(enter("192.0.2.1")).not.toBeNull();
  });
});
