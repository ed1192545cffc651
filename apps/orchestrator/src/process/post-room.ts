import type { FastifyInstance } from "fastify";
import { createAsker, type Reach } from "../host/socket-client.ts";
import { connectForCommands, connectForQueue, type RedisAddress, waitUntilReady } from "../store/connection.ts";
import { openDesk } from "../store/post-desk.ts";
import { createPost } from "../store/post.ts";
import { createPresence } from "../store/presence.ts";
import { REDIS_PREFIX } from "../store/stores.ts";

const REDIS_START_MS = 30_000;
/** Claims and looks at the provider's listing wait for others nearly all their time. */
const AT_ONCE = 64;

/** Roles that answer questions. */
type Kind = "worker" | "broker";

/** One that is served, until it is closed. */
export interface Served {
  /** Takes no more, and is not counted on any more. */
  close(): Promise<void>;
}

/** How roles on several hosts speak to each other: the same questions as over the sockets of one host. */
export interface PostRoom {
  /** Who is there now. Throws STORE_UNAVAILABLE. */
  present(kind: Kind): Promise<string[]>;
  /** The way to the one of that name, or to whichever of its kind takes it first. */
  reach(kind: Kind, name?: string): Reach;
  /**
   * Serves what is asked of its kind, or of it by name where `isNamed`.
   *
   * @param options.onAlone Called, each second, while others may soon count it as gone.
   */
  serve(options: {
    kind: Kind;
    name: string;
    isNamed: boolean;
    app: FastifyInstance;
    onAlone?: () => void;
  }): Promise<Served>;
  close(): void;
}

/** Throws STORE_UNAVAILABLE. */
export async function openPostRoom(address: RedisAddress): Promise<PostRoom> {
  const redis = connectForCommands(address);
  await waitUntilReady(redis, REDIS_START_MS);
  const shared = { redis, prefix: REDIS_PREFIX };
  const presence = createPresence(shared);
  const post = await createPost({ ...shared, listening: connectForQueue(address), presence });
  return {
    present: (kind) => presence.present(kind),
    reach: (kind, name) => (options) => {
      const box = boxOf(kind, name);
      const { answerMs } = options;
      return createAsker({
        ...options,
        where: `the box ${box} in Redis`,
        send: (method, path, body) => post.send({ kind, box, method, path, body, answerMs }),
      });
    },
    async serve({ kind, name, isNamed, app, onAlone }) {
      const announced = await presence.announce(kind, name, onAlone === undefined ? {} : { onAlone });
      const desk = openDesk({
        ...shared,
        taking: connectForQueue(address),
        box: boxOf(kind, isNamed ? name : undefined),
        name,
        atOnce: AT_ONCE,
        async serve({ method, path, body }) {
          const payload = body === undefined ? {} : { payload: body as object };
          const { statusCode: status, payload: text } = await app.inject({ method, url: path, ...payload });
          return { status, text };
        },
      });
      return {
        async close() {
          await desk.close();
          await announced.leave();
        },
      };
    },
    close() {
      post.close();
      redis.disconnect();
    },
  };
}

function boxOf(kind: Kind, name: string | undefined): string {
  return name === undefined ? kind : `${kind}:${name}`;
}
