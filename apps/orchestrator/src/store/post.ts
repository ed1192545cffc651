import { randomUUID } from "node:crypto";
import { AppError } from "@mayfly/core";
import type { Redis } from "ioredis";
import { z } from "zod";
import { asking } from "./connection.ts";
import { START_MS } from "./post-desk.ts";
import type { Presence } from "./presence.ts";

/** Questions that wait in one box: more than there can be machines that ask. */
const WAITING_MAX = 1_000;
/** The texts of one result, and a little more. */
const QUESTION_BYTES_MAX = 17 * 1024 * 1024;
/** What waits in one box, with what Redis needs to keep it: some results at once, and not its memory full of them. */
const BOX_BYTES_MAX = 64 * 1024 * 1024;
/** What a question's way there and the news that it was taken may take beyond the time in which it may be begun. */
const NEWS_MS = 2_000;
/** How often it is looked at whether those who took a question are still there. */
const LOOK_MS = 1_000;

/**
 * The time until which it may be begun is the store's. What the box takes is asked of Redis, over all that is in it: a count
 * of our own would go wrong with whoever takes a question and dies.
 */
const PUT = `local t = redis.call('TIME')
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
local bytes = redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0) or 0
if bytes + #ARGV[3] > tonumber(ARGV[4]) then return 0 end
local until_ms = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[2])
redis.call('RPUSH', KEYS[1], string.format('%.0f', until_ms) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`;

const News = z.union([
  z.strictObject({ id: z.string(), taken: z.string() }),
  z.strictObject({ id: z.string(), status: z.int(), text: z.string() }),
]);

/** A question to one box, which any process of its kind may serve. */
export interface Letter {
  readonly box: string;
  /** Of what kind its servers are, as presence knows them. */
  readonly kind: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body: unknown;
  readonly answerMs: number;
}

/** Asks processes on other hosts through Redis. */
export interface Post {
  /**
   * The answer as it came. Throws SERVICE_NOT_RUNNING when nobody has taken it within some seconds, and then nobody will;
   * or when whoever took it is gone, and then it may have been done. STORE_UNAVAILABLE when it takes too long, when the
   * box is full or Redis is away. INPUT_INVALID for a question that is too long.
   */
  send(letter: Letter): Promise<{ status: number; text: string }>;
  close(): void;
}

interface Awaited {
  readonly kind: string;
  readonly resolve: (answer: { status: number; text: string }) => void;
  readonly reject: (error: AppError) => void;
  readonly untaken: NodeJS.Timeout;
  takenBy: string | null;
}

/**
 * Questions lie in a list until they are taken. Answers are published to the asker alone and stored nowhere: some of them
 * hold an attempt's capability.
 *
 * @param deps.listening A connection of its own, closed here; it waits while Redis is away.
 */
export async function createPost(deps: {
  redis: Redis;
  listening: Redis;
  prefix: string;
  presence: Presence;
}): Promise<Post> {
  const { redis, listening, prefix, presence } = deps;
  const replies = `${prefix}post:replies:${randomUUID()}`;
  const awaited = new Map<string, Awaited>();

  listening.on("message", (_channel, text: string) => {
    const news = News.safeParse(parseJson(text));
    const question = news.success ? awaited.get(news.data.id) : undefined;
    if (!news.success || question === undefined) {
      return;
    }
    clearTimeout(question.untaken);
    if ("taken" in news.data) {
      question.takenBy = news.data.taken;
    } else {
      question.resolve(news.data);
    }
  });
  await listening.subscribe(replies);

  async function look(): Promise<void> {
    const taken = [...awaited.values()].filter(({ takenBy }) => takenBy !== null);
    for (const kind of new Set(taken.map((one) => one.kind))) {
      const present = await presence.present(kind);
      for (const one of taken) {
        if (one.kind === kind && !present.includes(one.takenBy ?? "")) {
          one.reject(new AppError("SERVICE_NOT_RUNNING", `the ${kind} that was asked is gone`));
        }
      }
    }
  }

  const looking = setInterval(() => void look().catch(() => undefined), LOOK_MS);

  async function put(box: string, id: string, letter: Letter): Promise<void> {
    const { method, path, body } = letter;
    const question = JSON.stringify({ id, replies, method, path, body });
    if (Buffer.byteLength(question) > QUESTION_BYTES_MAX) {
      throw new AppError("INPUT_INVALID", `a question to the ${letter.kind} is too long`);
    }
    const isPut = await asking(() =>
      redis.eval(PUT, 1, `${prefix}post:box:${box}`, WAITING_MAX, START_MS, question, BOX_BYTES_MAX),
    );
    if (isPut !== 1) {
      throw new AppError("STORE_UNAVAILABLE", `too many questions, or too long ones, wait for the ${letter.kind}`);
    }
  }

  return {
    async send(letter) {
      const { kind, box, answerMs } = letter;
      const id = randomUUID();
      const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
      // It may be refused before it is waited for.
      promise.catch(() => undefined);
      const untaken = setTimeout(
        () => reject(new AppError("SERVICE_NOT_RUNNING", `no ${kind} takes a question`)),
        START_MS + NEWS_MS,
      );
      const late = setTimeout(() => reject(new AppError("STORE_UNAVAILABLE", `the ${kind} does not answer`)), answerMs);
      awaited.set(id, { kind, resolve, reject, untaken, takenBy: null });
      try {
        await put(box, id, letter);
        return await promise;
      } finally {
        clearTimeout(untaken);
        clearTimeout(late);
        awaited.delete(id);
      }
    },
    close() {
      clearInterval(looking);
      for (const { kind, reject } of awaited.values()) {
        reject(new AppError("SERVICE_NOT_RUNNING", `the ${kind} is not asked any more`));
      }
      listening.disconnect();
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
