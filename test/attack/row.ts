import type { TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import type { Script } from "../fakes/model/script.ts";
import type { TestWorld } from "../support/world.ts";
import type { Random } from "./corpus/random.ts";

/** What a row must have to run: nothing, a real Redis, the whole service, or a machine that boots as well. */
export type Needs = "nothing" | "redis" | "service" | "machine";

/** One attack that Mayfly claims to withstand, as a program that tries it. */
export interface Row {
  /** `T01` to `T41`. */
  readonly id: string;
  /** What is tried, as a sentence. */
  readonly attack: string;
  readonly needs: Needs;
  /** What shows that this row can fail: it is tried as well, and a row whose control finds nothing has not held. */
  readonly control: string;
  /** What is counted as a case, in a word or two, where it is anything but a look at what was there. */
  readonly unit?: string;
  /** Why no defence of this row can be switched off, where there is none: follows the row's name. */
  readonly undefended?: string;
  /** May throw: then the row has not held, and the driver says that it crashed. Leaves nothing behind. */
  run(context: AttackContext): Promise<Verdict>;
}

export interface Verdict {
  /** Null when it was not tried here. */
  readonly held: boolean | null;
  /** Why not, or what was seen. */
  readonly why: string;
  readonly cases: number;
}

/** What rows share. Everything here is bounded, is made when it is first asked for, and is ended by the driver. */
export interface AttackContext {
  readonly seed: number;
  readonly isShort: boolean;
  /** Whether that row is tried as well: what no row looks at need not be done for it. */
  isTried(id: string): boolean;
  /** Aborted when the driver is told to stop. */
  readonly signal: AbortSignal;
  /** How many cases to try: the first in the full run, the second in the short one. */
  cases(full: number, short: number): number;
  /** Randomness that depends on the seed and this name alone, so that rows do not disturb each other. */
  random(name: string): Random;
  redis(): Promise<TestRedis>;
  /** GitHub, the model, and the real service between them: one for all rows that need machines. */
  world(): Promise<TestWorld>;
  /** What the world's model answers a prompt that matches. The newest match counts. */
  answer(when: RegExp, script: Script): void;
  /** A new folder that is removed in the end. */
  folder(): Promise<string>;
  /** Called by the driver in the end, also after Ctrl-C, unless the row has called what this returns before. */
  atEnd(end: () => Promise<void>): () => Promise<void>;
  say(text: string): void;
}
