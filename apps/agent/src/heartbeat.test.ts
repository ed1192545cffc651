import { limits } from "@mayfly/core/limits";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ChannelError } from "./channel-error.ts";
import type { Answer, Call, Channel } from "./channel.ts";
import { startHeartbeat } from "./heartbeat.ts";
import { startKeyRenewal } from "./key.ts";
import { createStop } from "./stop.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function answering(answer: () => Answer): Channel {
  return {
    async call() {
      return answer();
    },
    async download() {},
  };
}

async function beat(answer: () => Answer): Promise<string[]> {
  const stops: string[] = [];
  const heartbeat = startHeartbeat({
    channel: answering(answer),
    capability: "cap",
    onStop: (why) => stops.push(why),
  });
  await vi.advanceTimersByTimeAsync(limits.heartbeatMs);
  heartbeat.stop();
  return stops;
}

describe("the heartbeat", () => {
  it("goes on while all is well", async () => {
    expect(await beat(() => ({ status: 200, body: { stop: null } }))).toEqual([]);
  });

  it("passes on why the attempt must end", async () => {
    expect(await beat(() => ({ status: 200, body: { stop: "superseded" } }))).toEqual(["superseded"]);
  });

  it("takes a dead capability for the end, and a broker in trouble for a pause", async () => {
    const dead = new ChannelError("refused", "no", { status: 410 });
    expect(await beat(() => fail(dead))).toEqual(["revoked"]);
    for (const status of [429, 500, 503]) {
      const trouble = new ChannelError("unreachable", "away", { status });
      expect(await beat(() => fail(trouble))).toEqual([]);
    }
  });

  it("does not beat twice at once", async () => {
    const calls: Call[] = [];
    const channel: Channel = {
      async call(call) {
        calls.push(call);
        return Promise.withResolvers<Answer>().promise;
      },
      async download() {},
    };
    const heartbeat = startHeartbeat({ channel, capability: "cap", onStop: () => {} });
    await vi.advanceTimersByTimeAsync(limits.heartbeatMs * 5);
    heartbeat.stop();
    expect(calls).toHaveLength(1);
  });
});

describe("the key's renewal", () => {
  it("borrows anew at half of each key's life, until stopped", async () => {
    const keys: string[] = [];
    let lent = 0;
    const renewal = startKeyRenewal({
      grant: { key: "key_0", seconds: 600 },
      borrow: async () => ({ key: `key_${(lent += 1)}`, seconds: 600 }),
      setKey: (key) => keys.push(key),
    });
    await vi.advanceTimersByTimeAsync(299_000);
    expect(keys).toEqual([]);
    await vi.advanceTimersByTimeAsync(302_000);
    expect(keys).toEqual(["key_1", "key_2"]);
    renewal.stop();
    await vi.advanceTimersByTimeAsync(1_200_000);
    expect(keys).toEqual(["key_1", "key_2"]);
  });
});

describe("the stop", () => {
  it("is thrown by the deadline, once", async () => {
    const stop = createStop(1_000);
    await vi.advanceTimersByTimeAsync(999);
    expect(stop.reason()).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    stop.throw("cancelled");
    expect(stop.reason()).toBe("deadline");
    expect(stop.signal.aborted).toBe(true);
  });
});

function fail(error: Error): never {
  throw error;
}
