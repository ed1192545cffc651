import { limits } from "@mayfly/core";
import type { Redis } from "ioredis";
import { z } from "zod";
import { asking } from "./connection.ts";

/** Under which installation a repository is, and which it is by id. */
interface KnownPlace {
  readonly installation: number;
  readonly repository: number;
}

const KnownPlace = z.strictObject({ installation: z.int().min(1), repository: z.int().min(1) });

/** Repositories by their names, as the latest delivery of each had them: whoever types a name cannot know its ids. */
export interface PlaceStore {
  /** Idempotent: the latest word counts. Throws STORE_UNAVAILABLE. */
  note(owner: string, name: string, place: KnownPlace): Promise<void>;
  /** Null for one that nothing was heard of within limits.placeMemoryMs. Throws STORE_UNAVAILABLE. */
  find(owner: string, name: string): Promise<KnownPlace | null>;
}

export function createPlaceStore({ redis, prefix }: { redis: Redis; prefix: string }): PlaceStore {
  const keyOf = (owner: string, name: string) => `${prefix}place:${owner}/${name}`.toLowerCase();
  return {
    async note(owner, name, place) {
      await asking(() => redis.set(keyOf(owner, name), JSON.stringify(place), "PX", limits.placeMemoryMs));
    },
    async find(owner, name) {
      const text = await asking(() => redis.get(keyOf(owner, name)));
      return text === null ? null : KnownPlace.parse(JSON.parse(text));
    },
  };
}
