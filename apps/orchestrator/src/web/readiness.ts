import type { Store } from "@mayfly/core";
import { fastify, type FastifyInstance } from "fastify";

/** The internal listener: readiness. It asks the store, for a process that lives may still be unable to work. */
export function buildReadiness(store: Store): FastifyInstance {
  const app = fastify({ forceCloseConnections: true });
  app.get("/readyz", async (_request, reply) => {
    try {
      const machines = await store.listLiveMachines();
      return { ready: true, machines: machines.length };
    } catch {
      return reply.code(503).send({ ready: false, reason: "the store does not answer" });
    }
  });
  return app;
}
