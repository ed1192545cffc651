import { describe, expect, it } from "vitest";
import { asAnswered } from "./as-answered.ts";

const NEVER = new Promise<never>(() => undefined);

async function all(ask: (item: number) => Promise<string>, more: { onSlow?: (item: number) => void } = {}) {
  const found: string[] = [];
  for await (const { answer } of asAnswered({ items: [1, 2, 3], ask, patienceMs: 1, mostMs: 20, ...more })) {
    found.push(answer);
  }
  return found;
}

describe("questions asked one after the other", () => {
  it("are answered in order where each answer is quick", async () => {
    expect(await all(async (item) => `${item}`)).toEqual(["1", "2", "3"]);
  });

  it("ask no more than is wanted", async () => {
    const asked: number[] = [];
    const ask = async (item: number) => asked.push(item);
    for await (const { item } of asAnswered({ items: [1, 2, 3], ask, patienceMs: 1_000, mostMs: 1_000 })) {
      if (item === 2) {
        break;
      }
    }
    expect(asked).toEqual([1, 2]);
  });

  it("are not held up by one that is slow, which is named and whose answer is taken when it comes", async () => {
    const slow = Promise.withResolvers<string>();
    const named: number[] = [];
    const ask = async (item: number) => {
      if (item === 3) {
        setImmediate(() => slow.resolve("1"));
      }
      return item === 1 ? slow.promise : `${item}`;
    };
    expect(await all(ask, { onSlow: (item) => named.push(item) })).toEqual(["2", "3", "1"]);
    expect(named).toEqual([1]);
  });

  it("end without those that never answer", async () => {
    expect(await all((item) => (item === 2 ? NEVER : Promise.resolve(`${item}`)))).toEqual(["1", "3"]);
  });

  it("throw what one of them throws", async () => {
    await expect(all(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  });
});
