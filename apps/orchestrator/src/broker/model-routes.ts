import { limits, MODEL_SHAPE_HEADER, type MachineId } from "@mayfly/core";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Authorise, Standing } from "./authorise.ts";
import type { ModelGateway } from "./model-gateway.ts";
import type { OpenCall } from "./model-gateway-calls.ts";
import { Refusal } from "./refusal.ts";

/**
 * How long a look at the key counts. Whatever ends the attempt through this broker cuts the call besides, and the gateway
 * looks at the run once more before it asks the model.
 */
const FRESH_MS = 500;

/**
 * The one model call a machine may make. Its body comes as bytes and is made anew by the gateway; every header, the host
 * and the path are ours, both ways.
 */
export function registerModelRoutes(
  app: FastifyInstance,
  machine: MachineId,
  deps: { authorise: Pick<Authorise, "key">; gateway: ModelGateway },
): void {
  const { authorise, gateway } = deps;
  const admitted = new WeakMap<FastifyRequest, { open: OpenCall; standing: Standing; at: number }>();

  /** Before the body is read: it is large, and room for it is given only to as many as may call at once. */
  async function admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const open = gateway.open(machine, reply);
    const standing = await authorise.key(machine, request.headers.authorization);
    admitted.set(request, { open, standing, at: performance.now() });
  }

  async function answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { open, standing, at } = admitted.get(request) ?? {};
    // Again where the body has taken its time to come.
    const isFresh = at !== undefined && performance.now() - at < FRESH_MS;
    const { run, attempt } =
      isFresh && standing !== undefined ? standing : await authorise.key(machine, request.headers.authorization);
    if (open === undefined || request.raw.url !== "/v1/responses" || !Buffer.isBuffer(request.body)) {
      throw new Refusal("NOT_SERVED");
    }
    const isLite = request.headers[MODEL_SHAPE_HEADER] === "true";
    return gateway.forward(open, { run, attempt, body: request.body, isLite }, reply);
  }

  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    scope.post("/v1/responses", {
      bodyLimit: limits.modelRequestBytesMax,
      onRequest: (request, reply) => withPause(reply, () => admit(request, reply)),
      handler: (request, reply) => withPause(reply, () => answer(request, reply)),
    });
  });
}

/** Says in a refusal's answer when another try may be worth it. */
async function withPause<T>(reply: FastifyReply, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refusal && error.retryAfterSeconds !== null) {
      void reply.header("retry-after", String(error.retryAfterSeconds));
    }
    throw error;
  }
}
