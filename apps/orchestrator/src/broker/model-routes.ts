import { limits, MODEL_SHAPE_HEADER, type MachineId } from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import type { Records } from "../runs/records.ts";
import type { Authorise } from "./authorise.ts";
import type { ModelGateway } from "./model-gateway.ts";
import { Refusal } from "./refusal.ts";

/**
 * The one model call a machine may make. Its body passes as bytes, so that nothing is parsed here that the model would
 * read differently; every header, the host and the path are ours.
 */
export function registerModelRoutes(
  app: FastifyInstance,
  machine: MachineId,
  deps: { authorise: Authorise; records: Records; gateway: ModelGateway },
): void {
  const { authorise, records, gateway } = deps;
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    scope.post("/v1/responses", { bodyLimit: limits.modelRequestBytesMax }, async (request, reply) => {
      const { run } = await authorise.key(machine, request.headers.authorization);
      if (request.raw.url !== "/v1/responses" || !Buffer.isBuffer(request.body)) {
        throw new Refusal("NOT_SERVED");
      }
      if (run.modelCalls >= limits.modelRequestsPerAttemptMax) {
        throw new Refusal("BUDGET_SPENT");
      }
      await records.applyToRun(run.id, { type: "model_called", machine });
      const isLite = request.headers[MODEL_SHAPE_HEADER] === "true";
      return gateway.forward(machine, { body: request.body, isLite }, reply);
    });
  });
}
