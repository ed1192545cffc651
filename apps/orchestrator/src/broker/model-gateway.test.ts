import { limits, nothingSpent } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { finalEvent, operatorKey, question } from "./model-gateway.fixture.ts";
import { answers, codeIn, fails, opening, refusals, spent, useGateway } from "./model-gateway-suite.fixture.ts";

const { start, world } = useGateway();

describe("a model call", () => {
  it("is made anew: the task's model, nothing stored, a cache key and a most of our own", async () => {
    const { ask, asked, run } = await start();
    expect((await ask({ ...question, prompt_cache_key: "theirs" })).status).toBe(200);
    const body = JSON.parse(asked[0]?.body ?? "") as Record<string, unknown>;
    expect(body).toMatchObject({
      ...question,
      store: false,
      prompt_cache_key: expect.stringMatching(/^[0-9a-f]{64}$/),
      max_output_tokens: limits.modelOutputTokensMax,
    });
    expect(asked[0]?.body).not.toContain("theirs");
    expect(asked[0]?.body).not.toContain(run.id);
  });

  it("has the same cache key each time", async () => {
    const { ask, asked } = await start();
    await ask();
    await ask();
    const keys = asked.map(({ body }) => (JSON.parse(body) as { prompt_cache_key: string }).prompt_cache_key);
    expect(new Set(keys).size).toBe(1);
  });

  it("carries headers of ours alone, and brings back the stream's type and bytes alone", async () => {
    const { ask, asked } = await start();
    const smuggled = {
      "openai-organization": "org-theirs",
      cookie: "a=b",
      "x-openai-internal-codex-responses-lite": "true",
    };
    const answer = await ask(question, smuggled);
    expect(Object.keys(asked[0]?.headers ?? {}).toSorted()).toEqual([
      "accept",
      "authorization",
      "connection",
      "content-length",
      "content-type",
      "host",
      "user-agent",
      "x-openai-internal-codex-responses-lite",
    ]);
    expect(asked[0]?.headers.authorization).toBe(`Bearer ${operatorKey}`);
    expect(answer).toMatchObject({ status: 200, text: opening + finalEvent, isWhole: true });
    expect(answer.headers["content-type"]).toBe("text/event-stream");
    expect(answer.headers).not.toHaveProperty("x-request-id");
  });

  it.each([
    ["another model", { ...question, model: "gpt-other" }, "MODEL_OTHER"],
    ["a field nobody knows", { ...question, fallback: "x" }, "FIELD_UNKNOWN"],
    ["a tool that the provider runs", { ...question, tools: [{ type: "web_search" }] }, "TOOL_HOSTED"],
    ["no JSON", "{", "BODY_NOT_JSON"],
    ["a field twice", '{"model":"gpt-5.5","model":"gpt-5.5"}', "DUPLICATE_KEY"],
    ["bytes that are no UTF-8", Buffer.from([0x22, 0xff, 0x22]), "BODY_NOT_TEXT"],
    ["a byte order mark", `\u{feff}${JSON.stringify(question)}`, "BODY_NOT_JSON"],
  ])("is refused with %s in words that Codex shows, counted, logged, and costs nothing", async (_what, body, code) => {
    const { ask, asked, log } = await start();
    const answer = await ask(body);
    expect(answer.status).toBe(400);
    expect(codeIn(answer)).toBe(code);
    expect(asked).toHaveLength(0);
    expect(await refusals(world())).toEqual({ [code]: 1 });
    expect(log.some((line) => line.includes(code))).toBe(true);
    expect(await spent(world())).toEqual(nothingSpent);
  });
});

describe("an error of the model", () => {
  it.each([400, 401, 403, 404, 429, 500, 503])(
    "comes back as %s in our words, with the API's own code",
    async (status) => {
      const message = `Refused for ${operatorKey} of org-ours`;
      const { ask, log } = await start(
        fails(
          status,
          { "openai-organization": "org-ours" },
          { error: { message, code: "some_code", type: "some_type", extra: 1 } },
        ),
      );
      const answer = await ask();
      expect(answer.status).toBe(status);
      expect(codeIn(answer)).toBe(status === 401 || status === 403 ? "invalid_api_key" : "some_code");
      expect(answer.text).not.toContain("org-ours");
      expect(answer.text).not.toContain(operatorKey);
      expect(answer.headers).not.toHaveProperty("openai-organization");
      const isTold = log.some((line) => line.includes("org-ours"));
      expect(isTold).toBe(status !== 401 && status !== 403);
    },
  );

  it.each([
    ["no JSON", "<html>"],
    ["codes that are none", JSON.stringify({ error: { message: 1, code: "<b>", param: "a b", type: [] } })],
    ["the same name twice", '{"error":{"code":"one_code","code":"another_code"}}'],
    ["a name that parsers read in two ways", '{"error":{"\\u0061":1,"code":"some_code"}}'],
    ["more than an error has", JSON.stringify({ error: { code: "x".repeat(100_000) } })],
  ])("comes back without a word of it when it is %s", async (_what, text) => {
    const { ask } = await start((_incoming, outgoing) => {
      outgoing.writeHead(400);
      outgoing.end(text);
    });
    expect(JSON.parse((await ask()).text)).toEqual({
      error: { message: "the model answered with status 400", type: null, param: null, code: null },
    });
  });
});

describe("a model that asks to wait", () => {
  it.each([429, 503])("is not asked again by this attempt before its time when it said %s", async (status) => {
    let isLimited = true;
    const { ask, asked, pass } = await start((incoming, outgoing) => {
      const model = isLimited
        ? fails(status, { "retry-after": "7" }, { error: { code: "rate_limit_exceeded" } })
        : answers();
      model(incoming, outgoing);
    });
    expect(await ask()).toMatchObject({ status, headers: { "retry-after": "7" } });
    isLimited = false;
    const charged = await spent(world());
    const refused = await ask();
    expect(refused).toMatchObject({ status: 429, headers: { "retry-after": "7" } });
    expect(codeIn(refused)).toBe("MODEL_PAUSED");
    expect(asked).toHaveLength(1);
    expect(await spent(world())).toEqual(charged);
    pass(5_500);
    expect((await ask()).headers["retry-after"]).toBe("2");
    pass(1_500);
    expect((await ask()).status).toBe(200);
  });

  it.each([
    ["no time", {}, { code: "rate_limit_exceeded" }, "5"],
    ["nonsense", { "retry-after": "soon" }, { code: "rate_limit_exceeded" }, "5"],
    ["a time too long", { "retry-after": "999999" }, { code: "rate_limit_exceeded" }, "600"],
    ["a date gone by", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }, { code: "rate_limit_exceeded" }, "0"],
    ["a quota that no waiting cures", {}, { code: "insufficient_quota" }, undefined],
  ])("is understood when it names %s", async (_what, headers, error, seconds) => {
    const { ask } = await start(fails(429, headers, { error }));
    expect((await ask()).headers["retry-after"]).toBe(seconds);
  });
});
