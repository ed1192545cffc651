import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { LaunchId, MachineId, PresentMachine } from "@mayfly/core";
import { fastify, type FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listenOnSocket } from "../../host/listen.ts";
import { makeFolder } from "../../store/test-redis.fixture.ts";
import { overSocket } from "../../host/socket-client.ts";
import { createMachineLookup } from "./lookup-client.ts";
import { registerMachineLookup } from "./lookup-server.ts";

const id = (digit: string) => `mch_${digit.repeat(20)}` as MachineId;
const at = (machine: MachineId, address: string | null, running = true): PresentMachine => ({
  id: machine,
  launch: `lch_${"0".repeat(20)}` as LaunchId,
  running,
  address,
  spec: null,
});

let folder: string;
let app: FastifyInstance;
beforeEach(async () => {
  folder = await makeFolder();
  app = fastify({ forceCloseConnections: true });
});
afterEach(async () => {
  await app.close();
  await rm(folder, { recursive: true, force: true });
});

async function serve(list: () => Promise<readonly PresentMachine[]>, everyMs = 0) {
  registerMachineLookup(app, { list, everyMs });
  const socket = join(folder, "dispatch.sock");
  await listenOnSocket(app, socket, "own uid");
  return createMachineLookup(overSocket(socket));
}

describe("the machine at an address", () => {
  it("is the one running machine that is listed there", async () => {
    const machineAt = await serve(async () => [
      at(id("1"), "10.0.0.1"),
      at(id("2"), "10.0.0.2", false),
      at(id("3"), null),
      at(id("4"), "10.0.0.4"),
      at(id("5"), "10.0.0.4"),
      at(id("6"), "10.0.0.6", false),
      at(id("7"), "10.0.0.6"),
    ]);
    expect(await machineAt("10.0.0.1")).toBe(id("1"));
    expect(await machineAt("10.0.0.2")).toBeNull();
    expect(await machineAt("10.0.0.4")).toBeNull();
    expect(await machineAt("10.0.0.6")).toBe(id("7"));
    expect(await machineAt("10.0.0.9")).toBeNull();
  });

  it("is nobody's guess when the provider cannot be asked", async () => {
    const machineAt = await serve(async () => {
      throw new Error("throttled");
    });
    await expect(machineAt("10.0.0.1")).rejects.toThrow();
  });

  it("is asked of the provider once for all who wait, and never from a listing that began before", async () => {
    const begun: PromiseWithResolvers<void>[] = [];
    const machineAt = await serve(async () => {
      const one = Promise.withResolvers<void>();
      const number = begun.push(one);
      await one.promise;
      return [at(id(String(number)), "10.0.0.1")];
    }, 1_000);
    const first = machineAt("10.0.0.1");
    await expect.poll(() => begun.length).toBe(1);
    const late = Array.from({ length: 5 }, () => machineAt("10.0.0.1"));
    await expect.poll(() => begun.length, { timeout: 10_000 }).toBe(2);
    begun.forEach(({ resolve }) => resolve());
    expect(await first).toBe(id("1"));
    expect(await Promise.all(late)).toEqual(Array.from({ length: 5 }, () => id("2")));
    expect(begun).toHaveLength(2);
  });
});
