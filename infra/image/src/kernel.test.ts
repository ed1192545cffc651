import { isAppError } from "@mayfly/core";
import { describe, expect, it } from "vitest";

import { findPayload } from "./kernel.ts";

describe("findPayload", () => {
  it("finds the compressed kernel and leaves out its length", () => {
    const payload = Buffer.from([0x02, 0x21, 0x4c, 0x18, 1, 2, 3, 4]);
    expect(findPayload(bzImage({ payload })).equals(payload)).toBe(true);
  });

  it.each([
    ["something else", Buffer.alloc(4096)],
    ["a short file", Buffer.from("HdrS")],
    ["another compression", bzImage({ payload: Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4]) })],
    ["a length beyond the file", bzImage({ payload: Buffer.from([0x02, 0x21, 0x4c, 0x18]), claimed: 1 << 20 })],
  ])("refuses %s", (_name, image) => {
    expect(() => findPayload(image)).toThrow(expect.toSatisfy((error) => isAppError(error, "IMAGE_BUILD_FAILED")));
  });
});

/** A kernel image with one sector of set-up code; the payload is followed by its uncompressed length. */
function bzImage(options: { payload: Buffer; claimed?: number }): Buffer {
  const offset = 32;
  const head = Buffer.alloc(1024 + offset);
  head.writeUInt8(1, 0x1f1);
  head.write("HdrS", 0x202, "latin1");
  head.writeUInt32LE(offset, 0x248);
  head.writeUInt32LE(options.claimed ?? options.payload.length + 4, 0x24c);
  return Buffer.concat([head, options.payload, Buffer.alloc(4)]);
}
