import { AppError, type MachineId, type SecretHit } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { createBrokersClient } from "./brokers-client.ts";
import type { BrokerClient } from "./control-client.ts";

const machine = `mch_${"0".repeat(20)}` as MachineId;
const hit = (kind: string): SecretHit => ({ kind, form: "as it is" });

function broker(closed: string[], name: string, kinds: string[] = []): BrokerClient {
  return {
    ready: async () => undefined,
    ensureOpen: async () => undefined,
    ensureClosed: async () => void closed.push(name),
    findSecrets: async () => kinds.map(hit),
  };
}

function away(): BrokerClient {
  const refuse = async (): Promise<never> => {
    throw new AppError("SERVICE_NOT_RUNNING", "it does not answer");
  };
  return { ready: refuse, ensureOpen: refuse, ensureClosed: refuse, findSecrets: refuse };
}

describe("several brokers", () => {
  it("all end a machine's channel, and all look for what they know", async () => {
    const closed: string[] = [];
    const all = new Map([
      ["a", broker(closed, "a", ["one"])],
      ["b", broker(closed, "b", ["two"])],
    ]);
    const brokers = createBrokersClient({
      present: async () => [...all.keys()],
      clientOf: (name) => all.get(name) ?? away(),
    });
    await brokers.ensureClosed(machine);
    expect(closed.toSorted()).toEqual(["a", "b"]);
    expect(await brokers.findSecrets(["text"])).toEqual([hit("one"), hit("two")]);
  });

  it("are not done while one that is there does not answer", async () => {
    const closed: string[] = [];
    const brokers = createBrokersClient({
      present: async () => ["a", "b"],
      clientOf: (name) => (name === "a" ? broker(closed, name) : away()),
    });
    // Not as one that is absent, whose channels are gone with it.
    await expect(brokers.ensureClosed(machine)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    await expect(brokers.findSecrets(["text"])).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });

  it("are done without one that is gone meanwhile", async () => {
    const closed: string[] = [];
    let looks = 0;
    const brokers = createBrokersClient({
      present: async () => ((looks += 1) === 1 ? ["a", "b"] : ["a"]),
      clientOf: (name) => (name === "a" ? broker(closed, name) : away()),
    });
    await brokers.ensureClosed(machine);
    expect(closed).toEqual(["a"]);
  });

  it("publish nothing where there is none that knows the credentials", async () => {
    const brokers = createBrokersClient({ present: async () => [], clientOf: away });
    await brokers.ensureClosed(machine);
    await expect(brokers.findSecrets(["text"])).rejects.toMatchObject({ code: "SERVICE_NOT_RUNNING" });
  });
});
