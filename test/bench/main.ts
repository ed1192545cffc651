import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { letReadersLeave } from "../support/stdout.ts";
import { Effort, hostEffort, ownEffort } from "./effort.ts";
import { type Busy, figuresOf, type LoadReport, ratioOf, renderReport, type Report, type Samples } from "./figures.ts";
import { readOptions, usage } from "./options.ts";
import { readStream, type Reading, type StreamCall } from "./reader.ts";
import { CALLS_PER_MACHINE, EVENT_PAUSE_MS, type Load, loads, STREAMS } from "./traffic.ts";

const ModelReady = z.object({ port: z.int() });
const GatewayReady = z.object({ attempts: z.array(z.object({ socketPath: z.string(), key: z.string() })) });

/** The two ways to the model, and the processes on them. */
interface Ways {
  readonly direct: readonly StreamCall[];
  readonly gateway: readonly StreamCall[];
  readonly model: ChildProcess;
  readonly broker: ChildProcess;
}

/** What one load sent one way has given, and what everybody took for it. */
interface Leg {
  readonly readings: readonly Reading[];
  readonly busy: Busy;
  readonly memory: Effort;
}

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
  const model = startChild("model-process.ts");
  const { port } = ModelReady.parse(await model.ready);
  const broker = startChild("gateway-process.ts", `http://127.0.0.1:${port}/v1`);
  const { attempts } = GatewayReady.parse(await broker.ready);
  const ways: Ways = {
    direct: Array.from({ length: STREAMS }, () => ({ to: { host: "127.0.0.1", port }, headers: {} })),
    gateway: attempts.flatMap(({ socketPath, key }) =>
      Array.from({ length: CALLS_PER_MACHINE }, () => ({
        to: { socketPath },
        headers: { authorization: `Bearer ${key}` },
      })),
    ),
    model: model.child,
    broker: broker.child,
  };

  // The first round warms both ways up and is not counted.
  const [first] = loads;
  const warm = first === undefined ? [] : await sendBothWays(ways, { ...first, rounds: 1 });
  const done: { load: Load; rounds: Round[] }[] = [];
  for (const load of loads) {
    done.push({ load, rounds: await sendBothWays(ways, load) });
  }
  const counted = done.flatMap(({ rounds }) => rounds);
  const readings = counted.flatMap(({ direct, gateway }) => [...direct.readings, ...gateway.readings]);
  const memory = [...warm, ...counted].map(({ gateway }) => gateway.memory);
  const at = (part: number) => memory[Math.floor(part * (memory.length - 1))] ?? ownEffort();
  return {
    streams: STREAMS,
    eventsPerSecond: 1000 / EVENT_PAUSE_MS,
    events: readings.reduce((sum, { eventMs }) => sum + eventMs.length, 0),
    broken: readings.filter(({ isWhole }) => !isWhole).length,
    loads: done.map(({ load, rounds }) => reportOf(load, rounds)),
    gatewayMemoryMib: { start: at(0), middle: at(0.5), end: at(1) },
  };
}

interface Round {
  readonly direct: Leg;
  readonly gateway: Leg;
}

/** Each way in turn, so that whatever else the host does meets both. */
async function sendBothWays(ways: Ways, load: Load): Promise<Round[]> {
  const rounds: Round[] = [];
  for (let round = 0; round < load.rounds; round++) {
    rounds.push({ direct: await send(ways, "direct", load), gateway: await send(ways, "gateway", load) });
  }
  return rounds;
}

async function send(ways: Ways, way: "direct" | "gateway", load: Load): Promise<Leg> {
  const look = async () => ({
    model: await effortOf(ways.model),
    gateway: await effortOf(ways.broker),
    readers: ownEffort(),
    host: hostEffort(),
    at: performance.now(),
  });
  const before = await look();
  const readings = await readAll(ways[way], load);
  const after = await look();
  const ms = after.at - before.at;
  const share = (who: "model" | "gateway" | "readers") => (after[who].cpuMs - before[who].cpuMs) / ms;
  const host = (after.host.busyMs - before.host.busyMs) / (after.host.allMs - before.host.allMs);
  const busy = { model: share("model"), gateway: share("gateway"), readers: share("readers"), host };
  return { readings, busy, memory: after.gateway };
}

async function readAll(calls: readonly StreamCall[], load: Load): Promise<Reading[]> {
  const read = await Promise.all(
    calls.map(async (call, index) => {
      await wait((load.spreadMs * index) / calls.length);
      const readings: Reading[] = [];
      for (let number = 0; number < load.calls; number++) {
        readings.push(await readStream(call));
      }
      return readings;
    }),
  );
  return read.flat();
}

function reportOf({ name, calls, spreadMs, rounds: count }: Load, rounds: readonly Round[]): LoadReport {
  const legsOf = (way: keyof Round) => {
    const legs = rounds.map((round) => round[way]);
    return { samples: samplesOf(legs.flatMap(({ readings }) => readings)), busy: meanOf(legs.map(({ busy }) => busy)) };
  };
  const [direct, gateway] = [legsOf("direct"), legsOf("gateway")];
  const figures = { direct: figuresOf(direct.samples), gateway: figuresOf(gateway.samples) };
  return {
    name,
    calls: STREAMS * calls,
    spreadMs,
    rounds: count,
    ...figures,
    ratio: ratioOf(figures.gateway, figures.direct),
    busy: { direct: direct.busy, gateway: gateway.busy },
  };
}

function meanOf(all: readonly Busy[]): Busy {
  const mean = (who: keyof Busy) => all.reduce((sum, one) => sum + one[who], 0) / all.length;
  return { model: mean("model"), gateway: mean("gateway"), readers: mean("readers"), host: mean("host") };
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

async function effortOf(child: ChildProcess): Promise<Effort> {
  const answer = nextMessage(child);
  // One that has ended meanwhile has said why on standard error.
  const sent = new Promise<void>((resolve, reject) => {
    child.send("effort", (error) => (error === null ? resolve() : reject(error)));
  });
  const [effort] = await Promise.all([answer, sent]);
  return Effort.parse(effort);
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

letReadersLeave();
process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  return 2;
});
