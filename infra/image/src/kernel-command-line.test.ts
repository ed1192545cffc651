import { describe, expect, it } from "vitest";

import { ec2CommandLine, kernelCommandLine } from "./kernel-command-line.ts";
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

describe("ec2CommandLine", () => {
  it("names brokers, pins and the machine's longest life, and leaves EC2's bus and the kernel's defences on", () => {
    const brokers = [
      { host: "10.0.1.10", port: 8443 },
      { host: "10.0.2.10", port: 8443 },
    ] as const;
    const words = ec2CommandLine({ brokers, pins: ["one", "two"], lifetimeSeconds: 60 }).split(" ");
    expect(words.filter((word) => word.startsWith("mayfly."))).toEqual([
      "mayfly.broker=10.0.1.10:8443,10.0.2.10:8443",
      "mayfly.pins=one,two",
      "mayfly.lifetime_s=60",
    ]);
    expect(words).toContain("init_on_free=1");
    expect(words.filter((word) => /pci=off|mitigations|nokaslr/.test(word))).toEqual([]);
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
