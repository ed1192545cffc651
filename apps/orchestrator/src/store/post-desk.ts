import { setTimeout as wait } from "node:timers/promises";
import type { Redis } from "ioredis";
import { z } from "zod";

/** A question that nobody has begun with after so long is dropped: whoever asked has given up soon after. */
export const START_MS = 5_000;
/** Answers go through a buffer of Redis that is bounded as well; a claim with its prompt has half of it. */
const ANSWER_BYTES_MAX = 1024 * 1024;
/** One look into the box, in seconds: how long the end of the process may be held up by a Redis that is away. */
const LOOK_S = 1;
/** A look that takes longer waits on a connection that nobody is at the other end of. */
const STUCK_MS = 10_000;
/** How long questions under way hold up the end of the process. */
const CLOSE_MS = 2_000;
/** Before a box is looked into again that could not be. */
const RETRY_MS = 500;

const Question = z.strictObject({
  id: z.string().max(64),
  replies: z.string().max(256),
  method: z.enum(["GET", "POST"]),
  path: z.string().max(256),
  body: z.unknown().optional(),
});

/** A question as it is served. */
export interface Posted {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body: unknown;
}

/** Where questions from other hosts are taken. */
export interface Desk {
  /** Takes no more; waits for those under way, for a moment. */
  close(): Promise<void>;
}

/**
 * Takes questions from a box and answers each that is still waited for. Several desks may serve one box: each question is
 * taken by one. Never throws for what it is sent: whatever reaches Redis may put something into the box.
 *
 * @param deps.taking A connection of its own, closed here: it waits in Redis for the next question.
 * @param deps.name As presence knows this process.
 * @param deps.atOnce Questions under way at most.
 */
export function openDesk(deps: {
  redis: Redis;
  taking: Redis;
  prefix: string;
  box: string;
  name: string;
  atOnce: number;
  serve: (question: Posted) => Promise<{ status: number; text: string }>;
}): Desk {
  const { redis, taking, name } = deps;
  const box = `${deps.prefix}post:box:${deps.box}`;
  const underWay = new Set<Promise<void>>();
  const closing = new AbortController();

  async function handle(text: string): Promise<void> {
    const read = readQuestion(text);
    if (read === null || (await now(redis)) > read.until) {
      return;
    }
    const { id, replies, ...question } = read.question;
    // Nobody listens any more: then it is not done either.
    if ((await redis.publish(replies, JSON.stringify({ id, taken: name }))) === 0) {
      return;
    }
    const { status, text: answer } = await deps.serve({ ...question, body: question.body });
    const fits = Buffer.byteLength(answer) <= ANSWER_BYTES_MAX;
    const said = fits ? { id, status, text: answer } : { id, status: 500, text: "{}" };
    await redis.publish(replies, JSON.stringify(said));
  }

  async function take(): Promise<void> {
    while (!closing.signal.aborted) {
      if (underWay.size >= deps.atOnce) {
        await Promise.race(underWay);
        continue;
      }
      const stuck = setTimeout(() => taking.disconnect(true), STUCK_MS);
      const taken = await taking.blpop(box, LOOK_S).catch(() => "away" as const);
      clearTimeout(stuck);
      if (taken === "away") {
        await wait(RETRY_MS, undefined, { signal: closing.signal }).catch(() => undefined);
      } else if (taken !== null) {
        // Whoever asked learns of a failure by the silence.
        const work: Promise<void> = handle(taken[1])
          .catch(() => undefined)
          .finally(() => underWay.delete(work));
        underWay.add(work);
      }
    }
  }

  const working = take();
  return {
    async close() {
      closing.abort();
      taking.disconnect();
      const over = new AbortController();
      const tooLong = wait(CLOSE_MS, undefined, { signal: over.signal }).catch(() => undefined);
      await Promise.race([working.then(() => Promise.all(underWay)), tooLong]);
      over.abort();
    },
  };
}

/** A time of the store's, ms, and what was asked; null for anything else. */
function readQuestion(text: string): { until: number; question: z.infer<typeof Question> } | null {
  const space = text.indexOf(" ");
  const until = Number(text.slice(0, space));
  try {
    const question = Question.safeParse(JSON.parse(text.slice(space + 1)));
    return question.success && Number.isFinite(until) ? { until, question: question.data } : null;
  } catch {
    return null;
  }
}

/** The store's clock, ms. */
async function now(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}
