import { describe, expect, it } from "vitest";
import { createKeyedQueue } from "./keyed-queue.ts";

describe("a keyed queue", () => {
  it("runs tasks of one key in order, even after one has failed", async () => {
    const queue = createKeyedQueue<string>();
    const gate = Promise.withResolvers<void>();
    const seen: string[] = [];
    const first = queue.run("a", async () => {
      await gate.promise;
      seen.push("first");
      throw new Error("broken");
    });
    const second = queue.run("a", async () => {
      seen.push("second");
      return 2;
    });
    gate.resolve();
    await expect(first).rejects.toThrow("broken");
    await expect(second).resolves.toBe(2);
    expect(seen).toEqual(["first", "second"]);
  });

  it("lets no key wait for another", async () => {
    const queue = createKeyedQueue<string>();
    const gate = Promise.withResolvers<void>();
    const slow = queue.run("a", () => gate.promise);
    await expect(queue.run("b", async () => "done")).resolves.toBe("done");
    gate.resolve();
    await slow;
  });
});
