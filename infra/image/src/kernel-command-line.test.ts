import { describe, expect, it } from "vitest";

import { kernelCommandLine } from "./kernel-command-line.ts";
import { parseTscKhz } from "./tsc.ts";

describe("kernelCommandLine", () => {
  it("weakens the kernel only under emulation", () => {
    expect(kernelCommandLine({ emulated: true, tscKhz: 2_445_404 })).toEqual(
      expect.arrayContaining(["mitigations=off", "nokaslr", "tsc_early_khz=2445404"]),
    );
    const accelerated = kernelCommandLine({ emulated: false, tscKhz: 2_445_404 });
    expect(accelerated.filter((word) => /mitigations|nokaslr|tsc_|numa/.test(word))).toEqual([]);
  });

  it("ends a machine whose kernel panics", () => {
    expect(kernelCommandLine({ emulated: false })).toContain("panic=-1");
  });
});

describe("parseTscKhz", () => {
  it("reads the kernel's finding", () => {
    expect(parseTscKhz("[    0.000000] tsc: Detected 2445.395 MHz processor\n")).toBe(2_445_395);
  });

  it("finds nothing in a line that is cut off", () => {
    expect(parseTscKhz("tsc: Detected 2445.3")).toBeNull();
  });
});
