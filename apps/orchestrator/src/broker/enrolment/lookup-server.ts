import { setTimeout as wait } from "node:timers/promises";
import { findByAddress, type PresentMachine } from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import { z } from "zod";

/** Machines boot in crowds, and one listing answers for all who ask before it begins. */
const EVERY_MS = 2_000;

const Question = z.strictObject({ address: z.ipv4() });

/**
 * Lets the broker ask which machine is at an address, on the socket where it asks for runs. The answer is from a listing
 * that began after the question: an earlier one could name a machine that is gone and whose address is another's.
 */
export function registerMachineLookup(
  app: FastifyInstance,
  deps: { list: () => Promise<readonly PresentMachine[]>; everyMs?: number },
): void {
  const list = shareListing(deps.list, deps.everyMs ?? EVERY_MS);
  app.post("/machine-at", async (request) => {
    const { address } = Question.parse(request.body);
    return { machine: findByAddress(await list(), address) };
  });
}

/** Begins one listing for all who wait, and none sooner than `everyMs` after the one before began. */
function shareListing<T>(list: () => Promise<T>, everyMs: number): () => Promise<T> {
  let awaited: Promise<T> | null = null;
  let beganAt = Number.NEGATIVE_INFINITY;

  async function begin(): Promise<T> {
    await wait(Math.max(0, beganAt + everyMs - performance.now()));
    // Whoever asks from here on waits for the next.
    awaited = null;
    beganAt = performance.now();
    return list();
  }

  return () => (awaited ??= begin());
}
