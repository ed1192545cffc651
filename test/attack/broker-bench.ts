import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  Assignment,
  Budgets,
  Machine,
  MachineId,
  ResultStore,
  Run,
  RunId,
  SetupHost,
  Store,
  TaskSpec,
} from "@mayfly/core";
import { cutUnentitled } from "../../apps/orchestrator/src/broker/cut-unentitled.ts";
import { noBudgets } from "../../apps/orchestrator/src/broker/model-gateway.fixture.ts";
import type { Records } from "../../apps/orchestrator/src/runs/records.ts";
import type { TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import type { Script } from "../fakes/model/script.ts";
import type { FakeModel } from "../fakes/model/server.ts";
import { buildBroker } from "./broker-parts.ts";

/** What the stand-in for the source hands over. */
export const PACK = "PACK of the pull request";
/** Longer than any answer here takes, shorter than a test. */
const ANSWER_MS = 30_000;
/** How long a claim waits here, where nothing but a claim takes time: a few looks. */
export const CLAIM_MS = 1_000;

/** One call over a channel, as root in the machine could make it. */
export interface Call {
  readonly method?: string;
  readonly path: string;
  readonly token?: string;
  /** An object is sent as JSON; text and bytes as they are. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** Parsed JSON; null if it is none. */
  readonly body: unknown;
  /** The broker's own word for a refusal; null for any other answer. */
  readonly code: string | null;
}

/** A machine's end of its own channel. */
export interface Channel {
  readonly machine: MachineId;
  readonly socket: string;
  call(call: Call): Promise<Answer>;
  claim(): Promise<Assignment>;
}

/** The real broker over a real store, without any machine: the test speaks as one. */
export interface BrokerBench {
  readonly store: Store;
  readonly results: ResultStore;
  readonly records: Records;
  readonly model: FakeModel;
  readonly modelKey: string;
  /** Moves the broker's clock. */
  pass(ms: number): void;
  /** Looks at the calls under way, as the broker does every few seconds. */
  look(): Promise<void>;
  /** The next claim is held up just before its attempt is given out, until it is let go. */
  holdClaim(): HeldClaim;
  addRun(task?: Partial<TaskSpec>): Promise<RunId>;
  addMachine(): Promise<Channel>;
  run(id: RunId): Promise<Run>;
  machine(id: MachineId): Promise<Machine>;
  close(): Promise<void>;
}

interface HeldClaim {
  /** Resolves once a claim is there. */
  readonly held: Promise<void>;
  letGo(): void;
}

export async function startBroker(
  redis: TestRedis,
  script: Script,
  options: { budgets?: Budgets; setupHosts?: readonly SetupHost[] } = {},
): Promise<BrokerBench> {
  const { budgets = noBudgets, setupHosts = [] } = options;
  const folder = await mkdtemp(join(tmpdir(), "mf-"));
  let recheck = async (): Promise<null> => null;
  const parts = await buildBroker({
    redis,
    script,
    budgets,
    setupHosts,
    pack: Buffer.from(PACK),
    folderOf: (machine) => join(folder, machine),
    recheck: () => recheck(),
    bounds: { claimMs: CLAIM_MS },
  });
  const { store, results, records, model, modelKey, gateway, authorise, pass, addRun, run, machine } = parts;

  return {
    store,
    results,
    records,
    model,
    modelKey,
    pass,
    addRun,
    run,
    machine,
    async look() {
      await cutUnentitled({ calls: gateway, authorise });
      await cutUnentitled({ calls: parts.tunnels, authorise });
    },
    holdClaim() {
      const held = Promise.withResolvers<void>();
      const free = Promise.withResolvers<void>();
      recheck = async () => {
        recheck = async () => null;
        held.resolve();
        await free.promise;
        return null;
      };
      return { held: held.promise, letGo: () => free.resolve() };
    },
    async addMachine() {
      const id = await parts.recordMachine();
      await mkdir(join(folder, id));
      await parts.channels.ensureOpen(id);
      return channelOf(id, join(folder, id, "broker.sock"));
    },
    async close() {
      await parts.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function channelOf(machine: MachineId, socket: string): Channel {
  const call = (wanted: Call) => callOver(socket, wanted);
  return {
    machine,
    socket,
    call,
    async claim() {
      const answer = await call({ path: "/v1/claim", body: hello });
      if (answer.status !== 200) {
        throw new Error(`the claim was answered ${answer.status} ${answer.text}`);
      }
      return answer.body as Assignment;
    },
  };
}

/** An agent's first words. */
export const hello = { protocol: 1, agent: "test", codex: "0.169.0" };

/** One call over any socket: whoever has the socket can say what it likes. */
export async function callOver(
  socketPath: string,
  { method = "POST", path, token, body, headers }: Call,
): Promise<Answer> {
  const isRaw = body === undefined || typeof body === "string" || Buffer.isBuffer(body);
  const text = isRaw ? body : JSON.stringify(body);
  const length =
    text === undefined || headers?.["transfer-encoding"] !== undefined
      ? {}
      : { "content-length": Buffer.byteLength(text) };
  const outgoing = httpRequest({
    socketPath,
    method,
    path,
    agent: false,
    signal: AbortSignal.timeout(ANSWER_MS),
    headers: {
      ...(text === undefined ? {} : { "content-type": "application/json" }),
      ...length,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
  });
  outgoing.end(text);
  const [incoming] = (await once(outgoing, "response")) as [
    AsyncIterable<Buffer> & { statusCode: number; headers: {} },
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) {
    chunks.push(chunk);
  }
  const said = Buffer.concat(chunks).toString("utf8");
  const parsed = parse(said);
  const code = (parsed as { error?: { code?: unknown } } | null)?.error?.code;
  return {
    status: incoming.statusCode,
    headers: incoming.headers,
    text: said,
    body: parsed,
    code: typeof code === "string" ? code : null,
  };
}

/** Sends bytes that no HTTP library would, and returns all that comes back until the broker hangs up. */
export async function sayOver(socketPath: string, bytes: string): Promise<string> {
  const socket = await open(socketPath);
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error("no answer")));
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(bytes);
  await closed;
  return Buffer.concat(chunks).toString("latin1");
}

export async function open(socketPath: string): Promise<Socket> {
  const socket = connect(socketPath);
  await once(socket, "connect");
  return socket;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
