import { describe, expect, it } from "vitest";
import { recordsIn } from "./json.ts";
import { cut, fail, run, say, slow, stall, stallBeforeFirstByte } from "./script.ts";
import {
  type Body,
  apiKey,
  startModel,
  fixture,
  post,
  bodyOf,
  eventsIn,
  answerTo,
  refusalOf,
  minimal,
} from "./server-suite.fixture.ts";

describe("a fault", () => {
  it("answers with the status, the error and the headers of a scripted failure, and then recovers", async () => {
    const model = await startModel([fail({ status: 429, headers: { "retry-after": "7" }, times: 2 }), say("ok")]);
    const limited = await post(model, minimal);
    expect(limited.status).toBe(429);
    expect(limited.headers.get("retry-after")).toBe("7");
    expect(await limited.json()).toMatchObject({ error: { code: "rate_limit_exceeded" } });
    expect((await post(model, minimal)).status).toBe(429);
    expect((await post(model, minimal)).status).toBe(200);
    expect(model.violations).toEqual([]);
  });

  it("meets different faults in turn before the answer", async () => {
    const model = await startModel([fail({ status: 500, times: 1 }), fail({ status: 401, times: 1 }), say("ok")]);
    const statuses: number[] = [];
    for (let tried = 0; tried < 3; tried += 1) {
      statuses.push((await post(model, minimal)).status);
    }
    expect(statuses).toEqual([500, 401, 200]);
  });

  it("strikes only at the step it stands before", async () => {
    const model = await startModel([run("ls"), fail({ status: 503 }), say("never")]);
    expect((await post(model, await fixture("gpt-5.5-turn-1"))).status).toBe(200);
    expect((await post(model, await fixture("gpt-5.5-turn-2"))).status).toBe(503);
  });

  it("cuts the connection after the events it was told", async () => {
    const model = await startModel([cut({ afterEvents: 2, times: 1 }), say("ok")]);
    const answer = await post(model, minimal);
    let text = "";
    const read = async (): Promise<void> => {
      for await (const bytes of bodyOf(answer)) {
        text += Buffer.from(bytes).toString("utf8");
      }
    };
    await expect(read()).rejects.toThrow("terminated");
    expect(eventsIn(text).map((event) => event.type)).toEqual(["response.created", "response.in_progress"]);
    expect((await post(model, minimal)).status).toBe(200);
  });

  it("stalls an open stream until the client leaves", async () => {
    const model = await startModel([stall({ afterEvents: 1, times: 1 }), say("ok")]);
    const leaving = new AbortController();
    const answer = await fetch(`${model.url}/responses`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify(minimal),
      signal: leaving.signal,
    });
    const first = await bodyOf(answer).getReader().read();
    expect(Buffer.from(first.value ?? []).toString("utf8")).toMatch(/^event: response.created\n/);
    leaving.abort();
    await expect.poll(() => model.requests[0]?.isAborted).toBe(true);
    expect((await post(model, minimal)).status).toBe(200);
  });

  it("ends a request it never answers when it closes", async () => {
    const model = await startModel([stallBeforeFirstByte()]);
    const ending = post(model, minimal).catch((error: unknown) => error);
    await model.whenRequested(1);
    await model.close();
    expect(await ending).toBeInstanceOf(TypeError);
    expect(model.requests[0]).toMatchObject({ status: null, isAborted: false });
  });

  it("paces a slow stream", async () => {
    const text = "x".repeat(2000);
    const model = await startModel([slow({ bytesPerSecond: 20_000 }), say(text)]);
    const before = performance.now();
    const { items } = await answerTo(model, minimal);
    expect(recordsIn(items.at(-1)?.content)[0]?.text).toBe(text);
    // More than 8 kB of events at 20 kB a second.
    expect(performance.now() - before).toBeGreaterThan(300);
  });
});

describe("what the API refuses", () => {
  const tool = { type: "function", name: "t", parameters: {} };
  const call = { type: "function_call", call_id: "call_1", name: "t", arguments: "{}" };
  const output = { type: "function_call_output", call_id: "call_1", output: "x" };
  const refused: [string, Body, string][] = [
    ["an unknown parameter", { ...minimal, colour: 1 }, "Unknown parameter: 'colour'."],
    ["a parameter from the prototype", { ...minimal, toString: 1 }, "Unknown parameter: 'toString'."],
    ["no model", { stream: true, input: "x" }, "Missing required parameter: 'model'."],
    ["no input", { stream: true, model: "m" }, "Missing required parameter: 'input'."],
    ["a stream that is no boolean", { ...minimal, stream: "yes" }, "Invalid type for 'stream'"],
    ["an answer that is not streamed", { ...minimal, stream: false }, "only streams"],
    ["tools that are no list", { ...minimal, tools: tool }, "Invalid type for 'tools'"],
    ["a tool without a type", { ...minimal, tools: [{ name: "t" }] }, "'tools[0].type'"],
    ["a tool without a name", { ...minimal, tools: [{ type: "custom" }] }, "'tools[0].name'"],
    ["a tool nobody uses", { ...minimal, tools: [{ type: "mcp" }] }, "Invalid value: 'mcp'"],
    ["an unknown item", { ...minimal, input: [{ type: "riddle" }] }, "Invalid value: 'riddle'"],
    ["an unknown role", { ...minimal, input: [{ role: "root", content: "x" }] }, "Invalid value: 'root'"],
    ["a message without content", { ...minimal, input: [{ role: "user" }] }, "'input[0].content'"],
    [
      "a user who speaks as the model",
      { ...minimal, input: [{ role: "user", content: [{ type: "output_text", text: "x" }] }] },
      "'output_text'",
    ],
    ["an output without its call", { ...minimal, input: [output] }, "No tool call found for function call output"],
    ["an output before its call", { ...minimal, input: [output, call] }, "No tool call found"],
    [
      "an output of the other kind",
      { ...minimal, input: [call, { ...output, type: "custom_tool_call_output" }] },
      "No tool",
    ],
    ["a call without its output", { ...minimal, input: [call] }, "No tool output found for function call call_1."],
    ["a call without an id", { ...minimal, input: [{ ...call, call_id: "" }] }, "'input[0].call_id'"],
    [
      "reasoning that it did not write",
      { ...minimal, input: [{ type: "reasoning", summary: [], encrypted_content: "made.up" }] },
      "could not be verified",
    ],
  ];

  it.each(refused)("refuses %s", async (_what, body, message) => {
    const model = await startModel([say("never")]);
    const { status, error } = await refusalOf(model, body);
    expect(status).toBe(400);
    expect(error).toMatchObject({ type: "invalid_request_error", message: expect.stringContaining(message) as string });
    expect(model.violations).toEqual([expect.stringContaining(message)]);
  });

  it("refuses a wrong key with the API's own error, and any other than a bearer key", async () => {
    const model = await startModel([say("never")]);
    for (const authorization of ["Bearer sk-other", apiKey, ""]) {
      const answer = await post(model, minimal, { authorization });
      expect(answer.status).toBe(401);
      expect(await answer.json()).toMatchObject({ error: { code: "invalid_api_key", param: null } });
    }
    expect(model.violations).toHaveLength(3);
  });

  it.each([
    ["GET", "/responses", 405],
    ["GET", "/models", 404],
    ["POST", "/chat/completions", 404],
    ["POST", "/responses?x=1", 404],
    ["POST", "/responses/", 404],
  ])("answers %s %s with %i", async (method, path, status) => {
    const model = await startModel([say("never")]);
    const answer = await fetch(`${model.url}${path}`, { method, headers: { authorization: `Bearer ${apiKey}` } });
    expect(answer.status).toBe(status);
    expect(model.violations).toHaveLength(1);
  });

  it("refuses a body that is no JSON object, and one that does not say it is JSON", async () => {
    const model = await startModel([say("never")]);
    expect((await post(model, "{")).status).toBe(400);
    expect((await post(model, "[]")).status).toBe(400);
    expect((await post(model, minimal, { "content-type": "text/plain" })).status).toBe(415);
  });

  it("refuses what no script is for", async () => {
    const model = await startModel([run("ls")]);
    expect((await refusalOf(model, minimal)).error.message).toContain("offers no tool");
    expect((await refusalOf(model, await fixture("gpt-5.5-turn-2"))).error.message).toContain("no turn is scripted");
  });

  it.each(["gpt-5.5-turn-1", "gpt-5.5-turn-2", "gpt-6.1-sol-turn-1", "gpt-6.1-sol-turn-2"])(
    "has nothing against %s, as Codex sent it",
    async (name) => {
      const model = await startModel(() => say("fine"));
      await answerTo(model, await fixture(name));
      expect(model.violations).toEqual([]);
    },
  );
});
