import { type Channels, createSecretSearch, isMachineId, isRunId, limits, type RunId } from "@mayfly/core";
import { fastify, type FastifyInstance } from "fastify";
import { z } from "zod";
import { faultBody } from "../host/socket-client.ts";

const MachineParams = z.strictObject({ id: z.string().refine(isMachineId) });
/** A review has 100 findings of four texts, which may stand in the answer and beside it; a patch has 100 files. */
const TEXTS_MAX = 1_000;
const Texts = z.strictObject({ texts: z.array(z.string()).max(TEXTS_MAX), run: z.string().refine(isRunId).optional() });
/** The texts of one result, and JSON's escaping of them. */
const BODY_BYTES_MAX = limits.resultBytesMax;

/**
 * What the service may ask of the broker, over a socket that only the service's group reaches. `secrets` gives those that
 * a run's attempts had, with the standing ones; without a run, all.
 */
export function buildBrokerControl(deps: {
  channels: Channels;
  secrets: (run?: RunId) => readonly string[];
}): FastifyInstance {
  const { channels, secrets } = deps;
  const app = fastify({ forceCloseConnections: true, bodyLimit: BODY_BYTES_MAX });
  app.setErrorHandler((error, _request, reply) => {
    const { status, body } = faultBody(error);
    return reply.code(status).send(body);
  });
  app.get("/ready", async () => ({ ready: true }));
  app.post("/channels/:id/open", async (request) => {
    await channels.ensureOpen(MachineParams.parse(request.params).id);
    return {};
  });
  app.post("/channels/:id/close", async (request) => {
    await channels.ensureClosed(MachineParams.parse(request.params).id);
    return {};
  });
  // The credential stays here: the texts come to it, and only what kind of thing was found goes back.
  app.post("/find-secrets", async (request) => {
    const { texts, run } = Texts.parse(request.body);
    const search = createSecretSearch(secrets(run));
    return { found: texts.flatMap((text) => search(text)) };
  });
  return app;
}
