import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectForCommands, waitUntilReady } from "./connection.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

const READY_MS = 10_000;
let server: TestRedis;

beforeEach(async () => {
  server = await startTestRedis();
});
afterEach(() => server.end());

describe("a connection for commands", () => {
  it("is made anew when its Redis has become a replica, which would refuse every write for ever", async () => {
    const redis = connectForCommands(server.address);
    try {
      await waitUntilReady(redis, READY_MS);
      // Of nothing that is there: it answers reads and refuses writes.
      await server.redis.call("REPLICAOF", "127.0.0.1", "1");
      const anew = once(redis, "ready");
      await expect(redis.set("a", "1")).rejects.toThrow(/READONLY/);
      await anew;
      await server.redis.call("REPLICAOF", "NO", "ONE");
      expect(await redis.set("a", "1")).toBe("OK");
    } finally {
      redis.disconnect();
    }
  });

  it("is made anew when nothing is answered on it for some seconds, since a host that vanished closes nothing", async () => {
    const redis = connectForCommands(server.address);
    const pid = Number(/process_id:(\d+)/.exec(await server.redis.info("server"))?.[1]);
    try {
      await waitUntilReady(redis, READY_MS);
      process.kill(pid, "SIGSTOP");
      const closed = new Promise<void>((resolve) => redis.once("close", resolve));
      await expect(redis.get("a")).rejects.toThrow();
      await closed;
      process.kill(pid, "SIGCONT");
      await waitUntilReady(redis, READY_MS);
      expect(await redis.get("a")).toBeNull();
    } finally {
      process.kill(pid, "SIGCONT");
      redis.disconnect();
    }
  });
});
