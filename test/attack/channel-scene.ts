import { type Assignment, type RunId } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { say, type Script } from "../fakes/model/script.ts";
import { type Answer, type BrokerBench, type Call, callOver, type Channel, startBroker } from "./broker-bench.ts";

/** A broker for each test of a file, and what its model says. */
interface ChannelScene {
  readonly broker: BrokerBench;
  script: Script;
}

let broker: BrokerBench | null = null;

export const scene: ChannelScene = {
  get broker(): BrokerBench {
    if (broker === null) {
      throw new Error("useBroker() comes first");
    }
    return broker;
  },
  script: [],
};

/** To be called once in each file whose tests speak over a channel. */
export function useBroker(): void {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startTestRedis();
  });
  afterAll(() => redis.end());
  beforeEach(async () => {
    scene.script = [say("Fine.")];
    broker = await startBroker(redis, (seen) =>
      typeof scene.script === "function" ? scene.script(seen) : scene.script,
    );
  });
  afterEach(async () => {
    await broker?.close();
    broker = null;
  });
}

/** An attempt that has its key: everything an attacker in the machine can have. */
export interface Attempt {
  readonly run: RunId;
  readonly channel: Channel;
  readonly assignment: Assignment;
  readonly capability: string;
  readonly key: string;
}

export async function beginAttempt(): Promise<Attempt> {
  const run = await scene.broker.addRun();
  const channel = await scene.broker.addMachine();
  const assignment = await channel.claim();
  const { capability } = assignment;
  await taken(channel.call({ path: "/v1/gate", token: capability, body: gate() }));
  const lent = await taken(channel.call({ path: "/v1/key", token: capability }));
  return { run, channel, assignment, capability, key: (lent.body as { key: string }).key };
}

export async function taken(answer: Promise<Answer>): Promise<Answer> {
  const given = await answer;
  expect(given).toMatchObject({ status: 200 });
  return given;
}

export function gate(ok = true, strategy = "unprivileged-user"): object {
  return { safety_strategy: strategy, checks: [{ name: "identity", ok, seen: "uid 1001" }] };
}

export const modelCall = {
  model: "gpt-5.5",
  input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "Hello." }] }],
  stream: true,
  store: false,
};

export function resultOf(epoch: number, message = "All is well."): object {
  return {
    kind: "result",
    epoch,
    result: {
      codex: { version: "0.169.0", exit_code: 0, ended_by: "exit", error: null },
      final_message: { state: "present", text: message },
      structured: null,
      patch: { state: "present", text: "" },
      usage: null,
    },
  };
}

/** Everything a machine may ask for; `true` for what is worth something. */
export function everyCall({ capability, key }: Attempt): Call[] {
  return [
    { method: "GET", path: "/v1/source", token: capability },
    { path: "/v1/gate", token: capability, body: gate() },
    { path: "/v1/key", token: capability },
    { path: "/v1/events", token: capability, body: { first: 0, events: [{ type: "codex_started" }] } },
    { path: "/v1/responses", token: key, body: modelCall },
  ];
}

export async function answersTo(socket: string, calls: readonly Call[]): Promise<string[]> {
  const answers: string[] = [];
  for (const call of calls) {
    const { status, code } = await callOver(socket, call);
    answers.push(`${call.path} ${status} ${code}`);
  }
  return answers;
}
