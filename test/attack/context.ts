import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { say, type Script } from "../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { createRandom } from "./corpus/random.ts";
import type { AttackContext } from "./row.ts";

export interface ContextOptions {
  readonly seed: number;
  readonly isShort: boolean;
  /** The rows that are tried; all of them when it is left out. */
  readonly only?: readonly string[] | null;
  readonly signal?: AbortSignal;
  readonly say?: (text: string) => void;
}

/** The rows' context, and its end: everything that was started is stopped, everything made is removed. */
export function createContext(options: ContextOptions): { context: AttackContext; close: () => Promise<void> } {
  const { seed, isShort, only = null, signal = new AbortController().signal } = options;
  const scripts: { when: RegExp; script: Script }[] = [];
  const ends = new Set<() => Promise<void>>();
  let redis: Promise<TestRedis> | null = null;
  let world: Promise<TestWorld> | null = null;
  const context: AttackContext = {
    seed,
    isShort,
    isTried: (id) => only?.includes(id) ?? true,
    signal,
    cases: (full, short) => (isShort ? short : full),
    random: (name) => createRandom(seed, name),
    redis: () => (redis ??= startTestRedis()),
    world: () => (world ??= startWorld({ script: [say("Done.")], scripts })),
    answer: (when, script) => void scripts.unshift({ when, script }),
    async folder() {
      const folder = await mkdtemp(join(tmpdir(), "mayfly-attack-"));
      ends.add(() => rm(folder, { recursive: true, force: true }));
      return folder;
    },
    atEnd(end) {
      ends.add(end);
      return async () => {
        if (ends.delete(end)) {
          await end();
        }
      };
    },
    say: options.say ?? (() => undefined),
  };

  async function close(): Promise<void> {
    // One that did not start has tidied up after itself, and its row has said so.
    const [startedWorld, startedRedis] = await Promise.all([orNull(world), orNull(redis)]);
    const ended = await Promise.allSettled([
      startedWorld?.close(),
      startedRedis?.end(),
      ...[...ends].map((end) => end()),
    ]);
    const failed = ended.find((one) => one.status === "rejected");
    if (failed !== undefined) {
      throw failed.reason;
    }
  }

  return { context, close };
}

async function orNull<T>(promise: Promise<T> | null): Promise<T | null> {
  return promise === null ? null : promise.catch(() => null);
}
