import { isAppError } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { imageDisk, type ImageDiskFlags } from "./image-disk.ts";
import type { Terminal } from "./terminal.ts";

const pin = "a".repeat(43);
const broker = "10.0.1.10:8443";

/** Nothing may be printed, read or asked before the flags are right. */
const terminal = {} as Terminal;

async function refusalOf(flags: ImageDiskFlags): Promise<string> {
  const error: unknown = await imageDisk(terminal, flags).catch((cause: unknown) => cause);
  return isAppError(error, "INPUT_INVALID") ? error.message : `not refused: ${String(error)}`;
}

describe("mayfly image build --for ec2", () => {
  it.each<[string, ImageDiskFlags]>([
    ["no address", { pins: pin }],
    ["a name in place of an address", { broker: "broker.example.com:8443", pins: pin }],
    ["three addresses", { broker: "10.0.1.10:1,10.0.2.10:1,10.0.3.10:1", pins: pin }],
    ["more words for the kernel", { broker: `${broker} init=/bin/sh`, pins: pin }],
  ])("refuses %s by the flag's name, with what it should be", async (_what, flags) => {
    expect(await refusalOf(flags)).toMatch(/^--broker .*such as 10\.0\.1\.10:8443/);
  });

  it.each<[string, ImageDiskFlags]>([
    ["no pin", { broker }],
    ["three pins", { broker, pins: `${pin},${pin},${pin}` }],
    ["more words for the kernel", { broker, pins: `${pin} init=/bin/sh` }],
  ])("refuses %s, and says where pins come from", async (_what, flags) => {
    expect(await refusalOf(flags)).toMatch(/^--pins .*mayfly fleet pins/);
  });
});
