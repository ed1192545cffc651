import type { RequestListener, ServerResponse } from "node:http";
import type { Amounts, Budgets } from "@mayfly/core";
import { afterAll, afterEach, beforeAll } from "vitest";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { eventOf, finalEvent, type GatewayWorld, noBudgets, startGateway } from "./model-gateway.fixture.ts";

type Options = Omit<Parameters<typeof startGateway>[1], "model">;

/** For one test file: a Redis of its own, and a gateway for each test that starts one. Everything ends by itself. */
export function useGateway(): {
  start(model?: RequestListener, options?: Options): Promise<GatewayWorld>;
  /** The one that was started last. */
  world(): GatewayWorld;
} {
  let redis: TestRedis;
  let world: GatewayWorld | null = null;

  beforeAll(async () => {
    redis = await startTestRedis();
  });

  afterEach(async () => {
    await world?.close();
    world = null;
  });

  afterAll(() => redis.end());

  return {
    async start(model = answers(), options = {}) {
      world = await startGateway(redis, { model, ...options });
      return world;
    },
    world() {
      if (world === null) {
        throw new Error("no gateway was started");
      }
      return world;
    },
  };
}

/** The first event of an answer. */
export const opening = eventOf({ type: "response.created", response: { id: "resp_1", usage: null } });

/** A model that answers with a whole stream. */
export function answers(...events: string[]): RequestListener {
  return (_incoming, outgoing) => {
    outgoing.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "x-request-id": "req_1" });
    outgoing.end(events.length === 0 ? opening + finalEvent : events.join(""));
  };
}

/** A model that answers with this and no stream. */
export function fails(status: number, headers: Record<string, string>, body: unknown): RequestListener {
  return (_incoming, outgoing) => {
    outgoing.writeHead(status, { "content-type": "application/json", ...headers });
    outgoing.end(JSON.stringify(body));
  };
}

/** A model that opens its stream and leaves the rest to the test. */
export function opens(): { model: RequestListener; opened: Promise<ServerResponse> } {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  return {
    opened: promise,
    model(_incoming, outgoing) {
      outgoing.on("error", () => undefined);
      outgoing.writeHead(200, { "content-type": "text/event-stream" });
      outgoing.write(opening);
      resolve(outgoing);
    },
  };
}

/** What the attempt has been charged. */
export async function spent({ spend, run }: GatewayWorld): Promise<Amounts> {
  return (await spend.read(run.id, run.epoch, { repository: null, installation: null })).attempt;
}

/** The run's refused calls, by code. */
export async function refusals({ spend, run }: GatewayWorld): Promise<Readonly<Record<string, number>>> {
  return (await spend.read(run.id, run.epoch, { repository: null, installation: null })).refusals;
}

/** No budget but this one of the attempt. */
export function attemptLimit(limit: Partial<Budgets["attempt"]>): { budgets: Budgets } {
  return { budgets: { ...noBudgets, attempt: { ...noBudgets.attempt, ...limit } } };
}

/** The code of an answer that is an error. */
export function codeIn({ text }: { text: string }): unknown {
  return (JSON.parse(text) as { error: { code: unknown } }).error.code;
}
