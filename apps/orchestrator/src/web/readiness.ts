import type { Role, Store } from "@mayfly/core";
import { fastify, type FastifyInstance } from "fastify";

/** A process of this host that is well answers in milliseconds. */
const ANSWER_MS = 5_000;

/** What a role needs besides the store, asked of whoever knows; rejects when it is not there. */
export type ReadinessChecks = Readonly<Partial<Record<Role, () => Promise<unknown>>>>;

/**
 * The internal listener: readiness. It reads from the store and writes to it, for a process that lives may still be unable
 * to work, and asks for each
 * role of this host what that role needs. 503 where any of it is missing, and names it.
 */
export function buildReadiness(deps: {
  store: Store;
  /** Rejects where the store takes no write. */
  write: () => Promise<unknown>;
  roles: readonly Role[];
  checks: ReadinessChecks;
}): FastifyInstance {
  const { store, write, roles, checks } = deps;
  const app = fastify({ forceCloseConnections: true });
  const underWay = new Map<Role, Promise<boolean>>();

  /** One look for all who ask while it lasts: it may try for minutes. */
  function look(role: Role): Promise<boolean> {
    const check = checks[role];
    if (check === undefined) {
      return Promise.resolve(true);
    }
    const present = underWay.get(role);
    if (present !== undefined) {
      return present;
    }
    const looking = check()
      .then(
        () => true,
        () => false,
      )
      .finally(() => underWay.delete(role));
    underWay.set(role, looking);
    return looking;
  }

  app.get("/readyz", async (_request, reply) => {
    let machines: number;
    try {
      machines = (await store.listLiveMachines()).length;
    } catch {
      return reply.code(503).send({ ready: false, roles, reason: "the store does not answer" });
    }
    try {
      await write();
    } catch {
      return reply.code(503).send({ ready: false, roles, reason: "the store takes no write" });
    }
    const looks = roles.map(async (role) => ((await inTime(look(role))) ? [] : [role]));
    const unready = (await Promise.all(looks)).flat();
    if (unready.length > 0) {
      return reply.code(503).send({ ready: false, roles, reason: `not ready: ${unready.join(", ")}` });
    }
    return { ready: true, roles, machines };
  });
  return app;
}

/** False where the answer is, or where there is none in time. */
async function inTime(looking: Promise<boolean>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ANSWER_MS);
  const answer = await Promise.race([looking, late]);
  clearTimeout(timer);
  return answer;
}
