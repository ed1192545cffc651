import { once } from "node:events";
import { rm } from "node:fs/promises";
import { type ClientRequest, createServer, type IncomingMessage, request, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type AmountLimits,
  type Budgets,
  type Clock,
  decideMachine,
  decideRun,
  defaultTask,
  type Digest,
  intendLaunch,
  limits,
  type Machine,
  type MachineId,
  type Prices,
  recordMachine,
  requestRun,
  type Run,
  type RunEvent,
  Secret,
} from "@mayfly/core";
import { fastify, type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { randomIds } from "../host/ids.ts";
import { createLog } from "../host/log.ts";
import { hashOf } from "../runs/dispatch.ts";
import { createRecords, type Records } from "../runs/records.ts";
import { createModelSpend, type ModelSpend } from "../store/model-spend.ts";
import { createRecordStore } from "../store/records.ts";
import { makeFolder, type TestRedis } from "../store/test-redis.fixture.ts";
import { createAuthorise } from "./authorise.ts";
import { createCredentials } from "./issuers/credentials.ts";
import { createFixedKeyIssuer } from "./issuers/fixed-key.ts";
import type { Issuer } from "./issuers/issuer.ts";
import { createModelGateway, type ModelGateway } from "./model-gateway.ts";
import { registerModelRoutes } from "./model-routes.ts";
import { Refusal } from "./refusal.ts";
import { createUpstream } from "./upstream-request.ts";

/** The operator's credential: it must be seen by the model and by nobody else. */
export const operatorKey = "sk-operator-0123456789";

const unlimited: AmountLimits = { requests: null, inputTokens: null, outputTokens: null, microUsd: null };
export const noBudgets: Budgets = {
  attempt: unlimited,
  run: unlimited,
  repository_day: unlimited,
  installation_day: unlimited,
};
/** A token of output costs a tenth of a cent. */
const prices: Prices = {
  asOf: "2026-01-31",
  rows: [{ model: "*", price: { input: 10, cachedInput: 1, output: 1_000 } }],
};

/** A request that Codex could make. */
export const question = {
  model: "gpt-5.5",
  input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "Hello." }] }],
  stream: true,
  store: false,
};

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  /** False when it was cut short. */
  readonly isWhole: boolean;
}

/** An attempt at work, its key lent, on a machine that has a channel. */
interface OpenAttempt {
  readonly run: Run;
  readonly machine: MachineId;
  readonly key: string;
  /** The machine's end of its channel. */
  readonly socketPath: string;
}

/** The real gateway with a real store behind it, and one unix socket for each of its machines. */
export interface OpenGateway {
  readonly gateway: ModelGateway;
  readonly spend: ModelSpend;
  readonly records: Records;
  readonly attempts: readonly OpenAttempt[];
  close(): Promise<void>;
}

/** The gateway's parts over a store of their own: all real, the clock and the model's address as they are given. */
export function buildGateway(options: {
  redis: TestRedis;
  url: string;
  clock: Clock;
  log: Logger;
  budgets?: Budgets;
  issuer?: Issuer;
}) {
  const { url, clock, log, budgets = noBudgets, issuer = fixedKeyIssuer(operatorKey) } = options;
  const { redis } = options.redis;
  const prefix = options.redis.prefix();
  const store = createRecordStore({ redis, prefix, keepFinishedMs: limits.finishedRunMs });
  const records = createRecords({ store, clock });
  const spend = createModelSpend({ redis, prefix, clock, keepMs: limits.finishedRunMs });
  const credentials = createCredentials({ issuer, clock, log });
  const upstream = createUpstream({ url });
  const gateway = createModelGateway({
    upstream,
    credentials,
    spend,
    outputTokensMax: limits.modelOutputTokensMax,
    prices,
    budgets,
    records,
    clock,
    log,
  });
  const authorise = createAuthorise({ store, clock });
  return { prefix, store, records, spend, credentials, upstream, gateway, authorise };
}

/** As an operator's one key is set. */
export function fixedKeyIssuer(key: string): Issuer {
  return createFixedKeyIssuer({ key: new Secret(key), header: "authorization", prefix: "Bearer " });
}

export async function openGateway(
  options: Parameters<typeof buildGateway>[0] & { machines: number; timeoutMs?: number },
): Promise<OpenGateway> {
  const { clock, machines, timeoutMs = limits.runMsDefault } = options;
  const { store, records, spend, upstream, gateway, authorise } = buildGateway(options);
  const folder = await makeFolder();
  const apps: FastifyInstance[] = [];

  async function openAttempt(number: number): Promise<OpenAttempt> {
    const key = randomIds.secret("mfk");
    const { run, machine } = begun(clock.now(), { key, timeoutMs });
    await store.commit([
      { kind: "run", value: run, version: 0 },
      { kind: "machine", value: machine, version: 0 },
    ]);
    const app = fastify({ forceCloseConnections: true });
    app.setErrorHandler((error, _request, reply) =>
      error instanceof Refusal
        ? reply.code(error.status).send(error.body)
        : reply.code(500).send({ error: { code: "OTHER", message: String(error) } }),
    );
    registerModelRoutes(app, machine.id, { authorise, gateway });
    apps.push(app);
    const socketPath = `${folder}/${number}.sock`;
    await app.listen({ path: socketPath });
    return { run, machine: machine.id, key, socketPath };
  }

  const attempts = await Promise.all(Array.from({ length: machines }, (_, number) => openAttempt(number)));
  return {
    gateway,
    spend,
    records,
    attempts,
    async close() {
      await Promise.all(
        apps.map(async (app) => {
          app.server.closeAllConnections();
          await app.close();
        }),
      );
      upstream.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** One machine's gateway before a model that does as it is told. */
export interface GatewayWorld {
  readonly gateway: ModelGateway;
  readonly spend: ModelSpend;
  readonly run: Run;
  readonly machine: MachineId;
  /** Bodies and headers that the model was sent. */
  readonly asked: { headers: IncomingMessage["headers"]; body: string }[];
  /** Lines of the log. */
  readonly log: string[];
  pass(ms: number): void;
  apply(event: RunEvent): Promise<void>;
  /** Sends a call; whoever asks reads the answer. */
  send(body?: unknown, headers?: Record<string, string>): ClientRequest;
  /** Sends a call and reads all of the answer. */
  ask(body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  close(): Promise<void>;
}

export async function startGateway(
  redis: TestRedis,
  options: {
    model: RequestListener;
    budgets?: Budgets;
    issuer?: (clock: Clock) => Issuer;
    upstreamUrl?: string;
    timeoutMs?: number;
  },
): Promise<GatewayWorld> {
  const asked: GatewayWorld["asked"] = [];
  const model = createServer((incoming, outgoing) => {
    void record(incoming).then(() => options.model(incoming, outgoing));
  });
  async function record(incoming: IncomingMessage): Promise<void> {
    const { text } = await readText(incoming);
    asked.push({ headers: incoming.headers, body: text });
  }
  model.listen(0, "127.0.0.1");
  await once(model, "listening");

  const { model: _, issuer, upstreamUrl, ...rest } = options;
  let now = Date.now();
  const clock = { now: () => now };
  const lines: string[] = [];
  const { log } = createLog({ level: "debug", write: (line) => void lines.push(line) });
  const opened = await openGateway({
    redis,
    url: upstreamUrl ?? `http://127.0.0.1:${(model.address() as AddressInfo).port}/v1`,
    clock,
    log,
    machines: 1,
    ...(issuer === undefined ? {} : { issuer: issuer(clock) }),
    ...rest,
  });
  const [attempt] = opened.attempts;
  if (attempt === undefined) {
    throw new Error("there is no attempt");
  }
  const { run, machine } = attempt;

  function send(body: unknown = question, headers: Record<string, string> = {}): ClientRequest {
    const outgoing = callOver(attempt as OpenAttempt, headers);
    outgoing.end(typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body));
    return outgoing;
  }

  return {
    gateway: opened.gateway,
    spend: opened.spend,
    run,
    machine,
    asked,
    log: lines,
    pass: (ms) => void (now += ms),
    async apply(event) {
      await opened.records.applyToRun(run.id, event);
    },
    send,
    async ask(body, headers) {
      const [incoming] = (await once(send(body, headers), "response")) as [IncomingMessage];
      const read = await readText(incoming);
      return { status: incoming.statusCode ?? 0, headers: incoming.headers, ...read };
    },
    async close() {
      await opened.close();
      model.closeAllConnections();
      model.close();
    },
  };
}

/** A model call over a machine's channel; its body is still to come. */
function callOver({ socketPath, key }: OpenAttempt, headers: Record<string, string>): ClientRequest {
  return request({
    socketPath,
    method: "POST",
    path: "/v1/responses",
    agent: false,
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
  });
}

/** Reads to the end, be it the true one or a cut. */
export async function readText(incoming: IncomingMessage): Promise<{ text: string; isWhole: boolean }> {
  const chunks: Buffer[] = [];
  incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
  incoming.on("error", () => undefined);
  await new Promise((resolve) => incoming.once("close", resolve));
  return { text: Buffer.concat(chunks).toString("utf8"), isWhole: incoming.complete };
}

/** One server-sent event. */
export function eventOf(body: { readonly type: string; readonly [field: string]: unknown }): string {
  return `event: ${body.type}\ndata: ${JSON.stringify(body)}\n\n`;
}

export const finalEvent = eventOf({
  type: "response.completed",
  response: {
    id: "resp_1",
    usage: {
      input_tokens: 1_000,
      input_tokens_details: { cached_tokens: 400 },
      output_tokens: 20,
      total_tokens: 1_020,
    },
  },
});
/** What that costs: 600 fresh tokens at 10, 400 cached at 1, 20 of output at 1,000. */
export const finalAmounts = { requests: 1, inputTokens: 1_000, outputTokens: 20, microUsd: 6_000 + 400 + 20_000 };

/** A run at work on a machine, its key lent. */
function begun(now: number, { key, timeoutMs }: { key: string; timeoutMs: number }): { run: Run; machine: Machine } {
  const image = `sha256:${"0".repeat(64)}` as Digest;
  const provider = { name: "qemu", acceleration: "emulated", image, spec: image } as const;
  const asked = { id: randomIds.launch(now), provider, count: 1, plan: {}, now, runMsMax: limits.runMsMax };
  const launch = intendLaunch(asked);
  const booting = recordMachine({ id: launch.id.replace("lch_", "mch_") as MachineId, launch, now });
  const request = {
    origin: { kind: "local", user: "somebody", path: "/somewhere" },
    requestedAt: now,
    task: { ...defaultTask("local", question.model), timeoutMs },
    taskDigest: null,
    prompt: "Review this.",
  } as const;
  const layout = {
    head: "1".repeat(40),
    base: null,
    merge_base: null,
    shallow: [],
    pack_bytes: 0,
    pack_sha256: "0".repeat(64),
  };
  const report = {
    safety_strategy: "unprivileged-user",
    checks: [{ name: "identity", ok: true, seen: "uid 1001" }],
  } as const;
  const from = { machine: booting.id };
  const events: RunEvent[] = [
    { type: "source_prepared", layout },
    { ...from, type: "claimed", capabilityHash: hashOf("capability") },
    { ...from, type: "gate_passed", report: { ...report, checks: [...report.checks] } },
    { ...from, type: "key_lent", hash: hashOf(key) },
  ];
  const queued = requestRun({ id: randomIds.run(now), request, now });
  const run = events.reduce<Run>((before, event) => decideRun(before, event, now).run, queued);
  const claim = { run: run.id, epoch: run.epoch };
  const machine = decideMachine(booting, { type: "hello" }, now).machine;
  return { run, machine: decideMachine(machine, { type: "claim", claim }, now).machine };
}
