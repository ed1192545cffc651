import { isMachineId } from "@mayfly/core";
import { fastify, type FastifyInstance } from "fastify";
import { z } from "zod";
import { faultBody } from "../host/socket-client.ts";
import type { Dispatch } from "./dispatch.ts";

const Claim = z.strictObject({ machine: z.string().refine(isMachineId) });

/**
 * Where the broker asks for a run: giving one to a machine needs a look at GitHub, and the broker has no right to any.
 * Only the service's group reaches the socket.
 */
export function buildDispatchServer(dispatch: Dispatch): FastifyInstance {
  const app = fastify({ forceCloseConnections: true });
  app.setErrorHandler((error, _request, reply) => {
    const { status, body } = faultBody(error);
    return reply.code(status).send(body);
  });
  app.post("/claim", async (request) => {
    const { machine } = Claim.parse(request.body);
    return { assignment: await dispatch.claim(machine) };
  });
  return app;
}
