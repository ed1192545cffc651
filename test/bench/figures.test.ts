import { describe, expect, it } from "vitest";
import { figuresOf, ratioOf, renderReport } from "./figures.ts";

const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
const double = hundred.map((ms) => ms * 2);

describe("the figures of the bench", () => {
  it("are medians and 99th percentiles, whatever the order", () => {
    const figures = figuresOf({ firstByteMs: hundred.toReversed(), eventMs: [7] });
    expect(figures).toEqual({ firstByteMs: { median: 50, p99: 99 }, eventMs: { median: 7, p99: 7 } });
  });

  it("are compared with those of the same run", () => {
    const direct = figuresOf({ firstByteMs: hundred, eventMs: hundred });
    const gateway = figuresOf({ firstByteMs: double, eventMs: hundred });
    const ratio = ratioOf(gateway, direct);
    expect(ratio).toEqual({ firstByteMs: { median: 2, p99: 2 }, eventMs: { median: 1, p99: 1 } });
    const memory = {
      start: { resident: 100, held: 40 },
      middle: { resident: 110, held: 41 },
      end: { resident: 120, held: 40 },
    };
    const idle = { model: 0.1, gateway: 0, readers: 0.1, host: 0.2 };
    const load = { name: "burst", calls: 2, spreadMs: 1_000, rounds: 1, direct, gateway, ratio };
    const reportWith = (host: number) =>
      renderReport({
        streams: 2,
        eventsPerSecond: 20,
        events: 4,
        broken: 0,
        loads: [{ ...load, busy: { direct: idle, gateway: { ...idle, gateway: 0.5, host } } }],
        gatewayMemoryMib: memory,
      });
    const text = reportWith(0.5);
    expect(text).toMatch(/first byte, median +50\.00 ms +100\.00 ms +50\.00 ms +2\.0 x/);
    expect(text).toContain("of a core: model 10 %, gateway 50 %, readers 10 %; host 50 %");
    expect(text).toContain("100 MiB at the start, 110 halfway, 120 at the end (1.20 x)");
    expect(text).toContain("40 MiB at the start, 41 halfway, 40 at the end (1.00 x)");
    expect(text).not.toContain("next to no core left");
    expect(reportWith(0.95)).toContain("next to no core left");
  });
});
