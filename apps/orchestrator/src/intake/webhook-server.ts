import { isDeliveryId, isAppError, isOperatorDelivery, limits, type DeliveryId } from "@mayfly/core";
import { fastify, type FastifyError, type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import type { DeliveryStore } from "../store/deliveries.ts";
import { createSignatureCheck } from "./signature.ts";

/** GitHub gives up after 10 s; 25 MB over a slow line takes most of that. */
const REQUEST_MS = 10_000;
/** How often slow callers are looked for: what a second more or less is to them. */
const LOOK_MS = 2_000;
const EVENT = /^[a-z_]{1,64}$/;

export interface WebhookServerDeps {
  readonly secrets: readonly string[];
  readonly deliveries: DeliveryStore;
  /** Wakes whoever handles deliveries. */
  readonly wake: (id: DeliveryId) => Promise<void>;
  readonly log: Logger;
  /** What a request may take from its first byte to its last. */
  readonly requestMs?: number;
}

/**
 * The public listener: the webhook and liveness, nothing else. A delivery is verified over its raw bytes, kept, and
 * acknowledged; whatever it means is found out later. If it cannot be kept the answer is 503, and the redelivery loop
 * fetches it once Redis is back.
 */
export function buildWebhookServer(deps: WebhookServerDeps): FastifyInstance {
  const { deliveries, log, requestMs = REQUEST_MS } = deps;
  const isSigned = createSignatureCheck(deps.secrets);
  const app = fastify({
    bodyLimit: limits.webhookBytesMax,
    requestTimeout: requestMs,
    forceCloseConnections: true,
    // Node takes the longer of the two for the whole request, and looks every half a minute, unless it is told.
    http: { headersTimeout: requestMs, connectionsCheckingInterval: Math.min(LOOK_MS, requestMs) },
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: "not found" }));
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const { status, words } = answerTo(error);
    log[status >= 500 ? "warn" : "info"](
      { status, delivery: request.headers["x-github-delivery"], err: error },
      "a webhook was refused",
    );
    return reply.code(status).send({ error: words });
  });

  app.get("/livez", async () => ({ alive: true }));

  app.post("/webhook", async (request, reply) => {
    const signature = request.headers["x-hub-signature-256"];
    const body = Buffer.isBuffer(request.body) ? request.body.toString("utf8") : "";
    if (typeof signature !== "string" || !(await isSigned(body, signature))) {
      return reply.code(401).send({ error: "the signature is missing or wrong" });
    }
    const id = request.headers["x-github-delivery"];
    const event = request.headers["x-github-event"];
    if (typeof id !== "string" || !isDeliveryId(id) || typeof event !== "string" || !EVENT.test(event)) {
      return reply.code(400).send({ error: "X-GitHub-Delivery or X-GitHub-Event is missing or malformed" });
    }
    // The signature is over the body alone: nobody names a delivery as an operator's wish from outside.
    if (isOperatorDelivery(id)) {
      return reply.code(400).send({ error: "X-GitHub-Delivery is none of GitHub's" });
    }
    if (!isJsonObject(body)) {
      return reply.code(400).send({ error: "the body is not a JSON object" });
    }
    const taken = await deliveries.accept({ id, event, body });
    await deps.wake(id);
    log.info({ delivery: id, event, taken }, "a webhook was taken");
    return reply.code(202).send({ delivery: id, taken });
  });

  return app;
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function answerTo(error: FastifyError): { status: number; words: string } {
  if (isAppError(error)) {
    return { status: error.retryable ? 503 : 500, words: "try again later" };
  }
  switch (error.code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return { status: 413, words: "the body is bigger than GitHub sends" };
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return { status: 415, words: "the webhook's content type must be application/json" };
    default:
      return { status: (error.statusCode ?? 500) < 500 ? 400 : 503, words: "the request could not be read" };
  }
}
