import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { memoryOf } from "./process-memory.ts";

const RESERVED_BYTES = 1024 * 1024 * 1024;

describe("the memory of a process", () => {
  it("holds what the process holds, and is not as large as what it has only reserved", async () => {
    const kept = randomBytes(32);
    const reserved = new ArrayBuffer(RESERVED_BYTES);
    let bytes = 0;
    let isFound = false;
    for await (const chunk of memoryOf(process.pid)) {
      bytes += chunk.length;
      isFound ||= chunk.includes(kept);
    }
    expect(isFound).toBe(true);
    expect(bytes).toBeLessThan(reserved.byteLength);
  });

  it("is not silently empty where there is no such process", async () => {
    await expect(memoryOf(0).next()).rejects.toThrow("ENOENT");
  });
});
