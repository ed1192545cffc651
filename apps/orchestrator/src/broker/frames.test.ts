import { fastify, type FastifyError } from "fastify";
import { expect, it } from "vitest";
import { answer, readFramesStrictly, refusalOf } from "./frames.ts";

it.each([
  ["a length that is not its own", { "content-type": "application/json", "content-length": "7" }, 400],
  ["no JSON", { "content-type": "text/plain" }, 415],
])("a body with %s is the caller's fault", async (_what, headers, status) => {
  const app = fastify();
  readFramesStrictly(app);
  app.setErrorHandler<FastifyError>((error, _request, reply) => answer(reply, refusalOf(error)));
  app.post("/", async () => "taken");
  const { statusCode } = await app.inject({ method: "POST", url: "/", headers, payload: "{}" });
  expect(statusCode).toBe(status);
  await app.close();
});
