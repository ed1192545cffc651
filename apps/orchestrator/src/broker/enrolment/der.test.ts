import { expect, it } from "vitest";
import { utf8 } from "./der.ts";

it.each([
  [0, "0c00"],
  [127, "0c7f"],
  [128, "0c8180"],
  [255, "0c81ff"],
  [256, "0c820100"],
])("writes a length of %i in the fewest bytes", (length, head) => {
  const written = utf8("x".repeat(length));
  expect(written.subarray(0, -length || undefined).toString("hex")).toBe(head);
  expect(written).toHaveLength(head.length / 2 + length);
});
