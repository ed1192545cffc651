import { limits } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { fail, say, stall } from "../fakes/model/script.ts";
import { beginAttempt, modelCall, taken, scene, useBroker } from "./channel-scene.ts";

useBroker();

describe("a model call", () => {
  it("reaches the model as one method on one path, whatever else is tried", async () => {
    const { channel, key } = await beginAttempt();
    const tried: [string, string][] = [
      ["GET", "/v1/responses"],
      ["PUT", "/v1/responses"],
      ["DELETE", "/v1/responses"],
      ["PATCH", "/v1/responses"],
      ["OPTIONS", "/v1/responses"],
      ["POST", "/v1/responses/"],
      ["POST", "/v1/responses?model=gpt-other"],
      ["POST", "/v1/responses?"],
      ["POST", "/v1/responses#x"],
      ["POST", "/v1/responses/resp_1/cancel"],
      ["GET", "/v1/responses/resp_1"],
      ["POST", "/v1/%72esponses"],
      ["POST", "/V1/RESPONSES"],
      ["POST", "//v1/responses"],
      ["POST", "/v1/../v1/responses"],
      ["POST", "/v1/files"],
      ["POST", "/v1/chat/completions"],
      ["POST", "/v1/embeddings"],
      ["GET", "/v1/models"],
      ["GET", "/v1/organization/admin_api_keys"],
      ["GET", "/shutdown"],
      ["POST", "/shutdown"],
      ["GET", "/ready"],
      ["GET", "/runs"],
      ["POST", "/webhook"],
      ["GET", "/metrics"],
      ["GET", "/"],
    ];
    for (const [method, path] of tried) {
      const body = method === "GET" ? {} : { body: modelCall };
      const { status } = await channel.call({ method, path, token: key, ...body });
      expect([method, path, status]).toEqual([method, path, 404]);
    }
    expect(scene.broker.model.requests).toHaveLength(0);
  });

  it("carries headers of ours alone to the model", async () => {
    const { channel, key } = await beginAttempt();
    const mark = "from-the-machine";
    const smuggled = {
      "openai-organization": mark,
      "openai-project": mark,
      "openai-beta": mark,
      "x-stainless-lang": mark,
      "x-api-key": mark,
      "api-key": mark,
      "proxy-authorization": mark,
      "x-forwarded-for": mark,
      "x-forwarded-host": mark,
      forwarded: mark,
      cookie: mark,
      accept: mark,
      "accept-language": mark,
      "user-agent": mark,
      "content-encoding": mark,
      originator: mark,
      session_id: mark,
      traceparent: mark,
      te: "trailers",
      host: `${mark}.example.com`,
      connection: "close, authorization",
      "content-type": "application/json; boundary=from-the-machine",
    };
    await taken(channel.call({ path: "/v1/responses", token: key, body: modelCall, headers: smuggled }));
    const [request] = scene.broker.model.requests;
    expect(request?.headers.authorization).toBe(`Bearer ${scene.broker.modelKey}`);
    expect(JSON.stringify(request?.headers)).not.toContain(mark);
    expect(JSON.stringify(request?.headers)).not.toContain(key);
    expect(Object.keys(request?.headers ?? {}).toSorted()).toEqual([
      "accept",
      "authorization",
      "connection",
      "content-length",
      "content-type",
      "host",
      "user-agent",
    ]);
    expect(request?.body).toMatchObject(modelCall);
  });

  it("brings back nothing of the model's answer but its status, type, pace and body", async () => {
    scene.script = [
      fail({
        status: 429,
        headers: {
          "retry-after": "7",
          "set-cookie": "a=b",
          "openai-organization": "org-ours",
          "x-request-id": "req_1",
        },
      }),
      say("never"),
    ];
    const { channel, key } = await beginAttempt();
    const answer = await channel.call({ path: "/v1/responses", token: key, body: modelCall });
    expect(answer.status).toBe(429);
    expect(Object.keys(answer.headers).toSorted()).toEqual([
      "connection",
      "content-length",
      "content-type",
      "date",
      "retry-after",
    ]);
  });

  it("does not bring back what the model says of our credential when it refuses it", async () => {
    const told = `Incorrect API key provided: ${scene.broker.modelKey.slice(0, 12)}****${scene.broker.modelKey.slice(-4)}.`;
    scene.script = [fail({ status: 401, body: { error: { message: told, code: "invalid_api_key" } } }), say("never")];
    const { channel, key } = await beginAttempt();
    const answer = await channel.call({ path: "/v1/responses", token: key, body: modelCall });
    expect(answer.status).toBe(401);
    expect(answer.text).not.toContain(scene.broker.modelKey.slice(-4));
    expect(answer.text).not.toContain(scene.broker.modelKey.slice(0, 12));
  });

  it("is made a bounded number of times at once", async () => {
    scene.script = [stall({ afterEvents: 1 }), say("never")];
    const { channel, key } = await beginAttempt();
    const under = Array.from({ length: limits.modelConcurrencyMax }, () =>
      channel.call({ path: "/v1/responses", token: key, body: modelCall }).catch(() => null),
    );
    await scene.broker.model.whenRequested(limits.modelConcurrencyMax);
    const { code } = await channel.call({ path: "/v1/responses", token: key, body: modelCall });
    expect(code).toBe("BUSY");
    await scene.broker.model.close();
    await Promise.all(under);
  });
});
