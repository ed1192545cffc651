import type { VirtualTime } from "./time.ts";
import type { Redis } from "./types.ts";

/**
 * One life of the service's process. When it ends, whatever was under way in it never goes on: answers do not arrive, pauses
 * do not end, nothing more is asked. What Redis or EC2 had taken by then, they have taken.
 */
export interface Life {
  isOver(): boolean;
  end(): void;
  /** After so many answers from outside, from now on, the life ends at that very answer. */
  endAfterAnswers(count: number, ended: () => void): void;
  /** Waits for something outside; its answer counts, and is never heard once the life is over. */
  ask<T>(send: () => Promise<T>): Promise<T>;
  pause(ms: number): Promise<void>;
  /** Time stands still until this has ended; null if the life ends before it does. */
  during<T>(work: Promise<T>): Promise<T | null>;
  /** The connection asks as this life does, and is cut with it. */
  hold(redis: Redis): Redis;
}

const never = new Promise<never>(() => undefined);

export function createLife(time: VirtualTime): Life {
  const connections: Redis[] = [];
  const ended = Promise.withResolvers<null>();
  let over = false;
  let left = Infinity;
  let whenEnded: () => void = () => undefined;

  function end(): void {
    over = true;
    ended.resolve(null);
    for (const redis of connections) {
      redis.disconnect();
    }
  }

  function noteAnswer(): void {
    left -= 1;
    if (left === 0 && !over) {
      end();
      whenEnded();
    }
  }

  async function ask<T>(send: () => Promise<T>): Promise<T> {
    if (over) {
      return never;
    }
    try {
      const answer = await time.during(send());
      noteAnswer();
      return over ? await never : answer;
    } catch (error) {
      noteAnswer();
      return over ? never : Promise.reject(error);
    }
  }

  return {
    isOver: () => over,
    end,
    endAfterAnswers(count, ended) {
      left = count;
      whenEnded = ended;
    },
    ask,
    pause: (ms) => (over ? never : new Promise((resolve) => time.after(ms, () => (over ? undefined : resolve())))),
    during: (work) => time.during(Promise.race([work, ended.promise])),
    hold(redis) {
      const send = redis.sendCommand.bind(redis);
      redis.sendCommand = (...command) => ask(async () => send(...command));
      connections.push(redis);
      return redis;
    },
  };
}
