import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { figuresOf, type Memory, ratioOf, renderReport, type Report, type Samples } from "./figures.ts";
import { readOptions, usage } from "./options.ts";
import { readStream, type Reading, type StreamCall } from "./reader.ts";
import { CALLS_PER_MACHINE, STREAMS } from "./traffic.ts";

/** Each way in turn, so that whatever else the machine does meets both. A round takes some 4 s each way. */
const ROUNDS = 4;
/** The calls of a round begin spread over this time: a fleet's do not come at one blow. */
const SPREAD_MS = 1_000;

const ModelReady = z.object({ port: z.int() });
const GatewayReady = z.object({ attempts: z.array(z.object({ socketPath: z.string(), key: z.string() })) });
const MemoryAnswer = z.object({ resident: z.number(), held: z.number() });

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const children: ChildProcess[] = [];
  try {
    const report = await measure((file, ...rest) => start(children, file, rest));
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : renderReport(report));
    return report.broken === 0 ? 0 : 1;
  } finally {
    await Promise.all(children.map(end));
  }
}

type Start = (file: string, ...args: string[]) => { child: ChildProcess; ready: Promise<unknown> };

async function measure(startChild: Start): Promise<Report> {
  const { port } = ModelReady.parse(await startChild("model-process.ts").ready);
  const broker = startChild("gateway-process.ts", `http://127.0.0.1:${port}/v1`);
  const { attempts } = GatewayReady.parse(await broker.ready);
  const calls: StreamCall[] = attempts.flatMap(({ socketPath, key }) =>
    Array.from({ length: CALLS_PER_MACHINE }, () => ({
      to: { socketPath },
      headers: { authorization: `Bearer ${key}` },
    })),
  );

  const direct: Reading[] = [];
  const gateway: Reading[] = [];
  const memory: Memory[] = [];
  // The first round warms both ways up and is not counted.
  for (let round = 0; round <= ROUNDS; round++) {
    const straight = await readAll(
      Array.from({ length: STREAMS }, () => ({ to: { host: "127.0.0.1", port }, headers: {} })),
    );
    const through = await readAll(calls);
    memory.push(await memoryOf(broker.child));
    if (round > 0) {
      direct.push(...straight);
      gateway.push(...through);
    }
  }
  const at = (round: number): Memory => memory[round] ?? { resident: Number.NaN, held: Number.NaN };
  const figures = { direct: figuresOf(samplesOf(direct)), gateway: figuresOf(samplesOf(gateway)) };
  return {
    streams: STREAMS,
    rounds: ROUNDS,
    events: [...direct, ...gateway].reduce((sum, { eventMs }) => sum + eventMs.length, 0),
    broken: [...direct, ...gateway].filter(({ isWhole }) => !isWhole).length,
    ...figures,
    ratio: ratioOf(figures.gateway, figures.direct),
    gatewayMemoryMib: { start: at(0), middle: at(ROUNDS / 2), end: at(ROUNDS) },
  };
}

function readAll(calls: readonly StreamCall[]): Promise<Reading[]> {
  return Promise.all(
    calls.map(async (call, index) => {
      await wait((SPREAD_MS * index) / calls.length);
      return readStream(call);
    }),
  );
}

function samplesOf(readings: readonly Reading[]): Samples {
  return {
    firstByteMs: readings.map(({ firstByteMs }) => firstByteMs).filter((ms) => !Number.isNaN(ms)),
    eventMs: readings.flatMap(({ eventMs }) => eventMs),
  };
}

function start(children: ChildProcess[], file: string, args: string[]): ReturnType<Start> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: ["--expose-gc"] });
  children.push(child);
  return { child, ready: nextMessage(child) };
}

async function memoryOf(child: ChildProcess): Promise<Memory> {
  const answer = nextMessage(child);
  child.send("memory");
  return MemoryAnswer.parse(await answer);
}

/** Throws if the child ends instead. */
async function nextMessage(child: ChildProcess): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const onExit = (code: number | null): void => reject(new Error(`a part of the bench ended with code ${code}`));
  child.once("message", resolve);
  child.once("exit", onExit);
  return promise.finally(() => child.off("exit", onExit).off("message", resolve));
}

/** Children end when their line to us does. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit");
    if (child.connected) {
      child.disconnect();
    }
    await exited;
  }
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  return 2;
});
