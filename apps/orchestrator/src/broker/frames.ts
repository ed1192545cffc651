import { isAppError, limits } from "@mayfly/core";
import type { FastifyError, FastifyInstance } from "fastify";
import { readJsonBytes } from "./json-bytes.ts";
import { Refusal } from "./refusal.ts";

/** Frames are JSON that means the same to every reader: strict UTF-8, no name twice, no depth. */
export function readFramesStrictly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, async (_request: unknown, body: Buffer) => {
    const value = readJsonBytes(body, {
      depthMax: limits.frameDepthMax,
      charsMax: limits.resultBytesMax,
      valuesMax: limits.frameValuesMax,
    });
    if (value === undefined) {
      throw new Refusal("BODY_INVALID");
    }
    return value;
  });
}

/** Answers with the refusal and nothing else. */
export function answer(reply: { code(status: number): { send(body: unknown): unknown } }, refusal: Refusal): unknown {
  return reply.code(refusal.status).send(refusal.body);
}

/** What a machine is told of an error: the refusal that it is, or no more than whether to try again. */
export function refusalOf(error: FastifyError): Refusal {
  if (error instanceof Refusal) {
    return error;
  }
  switch (error.code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new Refusal("BODY_TOO_BIG");
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new Refusal("NOT_JSON");
    case "FST_ERR_CTP_EMPTY_JSON_BODY":
    case "FST_ERR_CTP_INVALID_JSON_BODY":
      return new Refusal("BODY_INVALID");
    default:
      if (isOfTheBody(error)) {
        return new Refusal("BODY_INVALID");
      }
      return isAppError(error) && !error.retryable ? new Refusal("NOT_SERVED") : new Refusal("UNAVAILABLE");
  }
}

/** A body that Fastify did not take, for any reason of the caller's. */
function isOfTheBody({ code, statusCode = 500 }: FastifyError): boolean {
  return typeof code === "string" && code.startsWith("FST_ERR_CTP_") && statusCode >= 400 && statusCode < 500;
}
