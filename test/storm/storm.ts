import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Ec2Config, Run } from "@mayfly/core";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { connectForCommands, type RedisAddress, waitUntilReady } from "../../apps/orchestrator/src/store/connection.ts";
import { startEmbeddedRedis } from "../../apps/orchestrator/src/store/embedded-redis.ts";
import { createStores } from "../../apps/orchestrator/src/store/stores.ts";
import { createChance } from "../fakes/ec2/chance.ts";
import { startEc2Fake } from "../fakes/ec2/server.ts";
import type { Chaos } from "../fakes/ec2/world.ts";
import type { Bend } from "./bends.ts";
import { DOLLARS_PER_HOUR, noteBinding } from "./caps.ts";
import { createStormGitHub } from "./github.ts";
import { createStormGuests, type StormGuests } from "./guests.ts";
import { createLives, type Lives } from "./lives.ts";
import { endOf, type StormReport } from "./report.ts";
import { createStormIds, createStormRun, RUN_MS_MAX, SHARE_OF_FIRST, type StormRun } from "./runs.ts";
import { chaos, isEmpty, limitCapacity, mistakeNextLaunch, pace, powerOff, settingsOf } from "./sky.ts";
import { createVirtualTime } from "./time.ts";
import { createWatch } from "./watch.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** Some minutes before a day ends, so that the day's money is counted over midnight. */
const START = Date.UTC(2026, 0, 5, 23, 50);
/** So many timers go off together; nothing that is simulated is finer. */
const TICK_MS = 250;
const REDIS_MS = 10_000;
/** Between two looks at what lives and what it costs. */
const LOOK_MS = 5 * SECOND;
/** A storm that takes longer than this, in its own time, does not end by itself: something is stuck. */
const STORM_MINUTES_MAX = 6 * 60;
/** After the last run, until what was left behind has been found and removed. */
const AFTERMATH_MS = 10 * MINUTE;
/** Wake-ups failed by a bug show themselves by their words. */
const FAILURES_SHOWN = 5;
/** How often a launch is carried out without an answer and then said to be another one. */
const MISMATCHES = 0.1;
const CANCELLED = 0.02;

export interface StormOptions {
  readonly seed: number;
  readonly runs: number;
  readonly atOnce: number;
  readonly bend: Bend | null;
  /** Simulated minutes after which it is broken off. */
  readonly minutesMax?: number;
  /** Ends as soon as a cap is exceeded or an attempt is given out twice. */
  readonly endsAtBreach?: boolean;
  /** Ends it where it is. */
  readonly signal?: AbortSignal;
  /** Which caps the first life has, as a number of `fleetFor`'s. */
  readonly firstCaps?: number;
  /** How many of the runs are of the first installation, 0 to 1. */
  readonly shareOfFirst?: number;
  /** In place of what goes wrong at EC2 otherwise. */
  readonly chaos?: Partial<Chaos>;
  /** Told of how far it is, now and then. */
  readonly onProgress?: (line: string) => void;
  /** Told of each line of the service's log, with the simulated time before it. */
  readonly onLog?: (line: string) => void;
}

/** The storm, from an empty Redis and an empty EC2 until every run is done and the sky is clear again. */
export async function runStorm(options: StormOptions): Promise<StormReport> {
  const folder = await mkdtemp(join(tmpdir(), "mf-"));
  const redis = await startEmbeddedRedis(folder);
  try {
    const world = await openWorld(options, { folder, redis: redis.address });
    try {
      const brokenOff = await passThrough(world);
      return await reportOf(world, brokenOff);
    } finally {
      await world.close();
    }
  } finally {
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

type World = Awaited<ReturnType<typeof openWorld>>;

/** All that there is, before the first run. */
async function openWorld(options: StormOptions, place: { folder: string; redis: RedisAddress }) {
  const { seed, atOnce, bend } = options;
  const startedAt = performance.now();
  const chance = createChance(seed);
  const ids = createStormIds(createChance(seed + 1));
  const time = createVirtualTime({ start: START, tickMs: TICK_MS });
  const isForgetful = bend?.isForgetful ?? false;
  const github = createStormGitHub({ chance: createChance(seed + 2), lostReplies: 0.01, isForgetful });
  const runs = new Map<string, StormRun>();
  const guests: StormGuests = createStormGuests({
    time,
    chance: createChance(seed + 3),
    ask: (machine, call) => lives.ask((broker) => broker.ask(machine, call)),
    powerOff: (id) => powerOff(fake, id),
    onClaimed: (claimed) => watch.noteClaim(claimed, runs.get(claimed.run)?.installation ?? 0),
  });
  const fake = await startEc2Fake({
    seed: seed + 4,
    clock: time.now,
    pace,
    onInstance(instance) {
      // Once the call that makes it has been carried out.
      queueMicrotask(() => watch.noteInstance(instance.id));
      return guests.onInstance(instance);
    },
  });
  const watch = createWatch({ fake, now: time.now, runMsMax: RUN_MS_MAX, dollarsPerHour: DOLLARS_PER_HOUR });
  const ec2: Ec2Config = await settingsOf(fake);
  fake.setChaos({ ...chaos, ...options.chaos });
  limitCapacity(fake, atOnce);
  const { log } = createLog({
    level: options.onLog === undefined ? "silent" : "debug",
    write: (line) => options.onLog?.(`${new Date(time.now()).toISOString()} ${line}`),
  });
  const counts = { failed: 0, lost: 0, failures: [] as string[] };
  const host = { time, chance, ids, log, stateDir: place.folder, redis: place.redis, fake, ec2, github, counts, bend };
  const own = connectForCommands(place.redis);
  await waitUntilReady(own, REDIS_MS);
  const { store } = createStores({ redis: own, clock: { now: time.now } });
  const lives: Lives = createLives({ ...host, watch, store, atOnce, firstCaps: options.firstCaps ?? 0 });
  const binding = { machines: 0, installation: 0, hour: 0, money: 0, capacity: 0 };
  const close = async (): Promise<void> => {
    lives.close();
    own.disconnect();
    await fake.close();
  };
  const parts = { chance, ids, time, github, runs, guests, fake, watch, counts, lives, binding };
  return { ...parts, options, startedAt, store, close };
}

/** Ends when every run is done and the sky is clear again, or as the options say: then it answers why it was broken off. */
async function passThrough(world: World): Promise<string | null> {
  const { options, time, store, runs, fake, watch, lives } = world;
  const minutes = options.minutesMax ?? STORM_MINUTES_MAX;
  let clearAt = Infinity;
  let brokenOff: string | null = null;
  async function isOver(): Promise<boolean> {
    if (clearAt === Infinity && runs.size === options.runs && (await store.listLiveRuns()).length === 0) {
      clearAt = time.now() + AFTERMATH_MS;
    }
    const isClear = clearAt < Infinity && isEmpty(fake) && (await store.listLiveMachines()).length === 0;
    if (isClear || time.now() >= clearAt) {
      return true;
    }
    if (options.signal?.aborted === true) {
      brokenOff = "by a signal";
    } else if (options.endsAtBreach === true && watch.breaches.words.length > 0) {
      brokenOff = "at the first breach";
    } else if (time.now() >= START + minutes * MINUTE) {
      brokenOff = `after ${minutes} simulated minutes`;
    }
    return brokenOff !== null;
  }
  await lives.begin();
  void time.during(look(world));
  await time.run(isOver, options.signal);
  return brokenOff;
}

/** Every few seconds. */
async function look(world: World): Promise<void> {
  const { options, time, chance, store, runs, fake, watch, binding, lives } = world;
  watch.look();
  const live = await store.listLiveRuns();
  noteBinding(binding, live);
  await submit(world, live.filter(({ phase }) => phase !== "done").length);
  if (chance.happens(MISMATCHES)) {
    mistakeNextLaunch(fake);
  }
  options.onProgress?.(
    `${((time.now() - START) / MINUTE).toFixed(1)} min: ${runs.size} of ${options.runs} runs begun, ${live.length} live, ` +
      `${watch.usage().living} machines, ${fake.calls.length} EC2 calls, ${lives.crashes()} crashes`,
  );
  time.after(LOOK_MS, () => void time.during(look(world)));
}

async function submit(world: World, live: number): Promise<void> {
  const { options, time, chance, ids, store, runs, github, lives } = world;
  const { shareOfFirst = SHARE_OF_FIRST } = options;
  const more = lives.isUp() ? Math.min(options.atOnce - live, options.runs - runs.size) : 0;
  for (let count = 0; count < more; count++) {
    const made = createStormRun({ number: runs.size + 1, chance, now: time.now(), ids, shareOfFirst });
    github.addPullRequest(made.number, made);
    runs.set(made.run.id, made);
    await store.commit([{ kind: "run", value: made.run, version: 0 }]);
    if (chance.happens(CANCELLED)) {
      time.after(chance.below(4 * MINUTE), () => void lives.cancel(made.run.id));
    }
  }
}

async function reportOf(world: World, brokenOff: string | null): Promise<StormReport> {
  const { time, store, runs, counts, lives, startedAt } = world;
  const ended: Run[] = [];
  for (const { run } of runs.values()) {
    ended.push((await store.loadRun(run.id))?.value ?? run);
  }
  return endOf({
    ...world,
    ended,
    brokenOff,
    crashes: lives.crashes(),
    wakeups: { ...counts, failures: counts.failures.slice(0, FAILURES_SHOWN) },
    virtualMs: time.now() - START,
    realMs: performance.now() - startedAt,
  });
}
