import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, it } from "vitest";
import { recordsIn } from "./json.ts";
import { reviewer } from "./reviewer.ts";
import { cut, decide, fail, run, say, slow, stall, stallBeforeFirstByte } from "./script.ts";
import type { Script } from "./script.ts";
import { createFakeModel } from "./server.ts";
import type { FakeModel, FakeModelOptions } from "./server.ts";

type Body = Record<string, unknown>;

const apiKey = "sk-fixture";
const models: FakeModel[] = [];

afterEach(async () => {
  await Promise.all(models.splice(0).map((model) => model.close()));
});

async function startModel(script: Script, options: Partial<FakeModelOptions> = {}): Promise<FakeModel> {
  const model = await createFakeModel({ apiKey, script, ...options });
  models.push(model);
  return model;
}

async function fixture(name: string): Promise<Body> {
  const url = new URL(`../../fixtures/codex-requests/${name}.json`, import.meta.url);
  return JSON.parse(await readFile(url, "utf8")) as Body;
}

async function post(model: FakeModel, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${model.url}/responses`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

function bodyOf(answer: Response): ReadableStream<Uint8Array> {
  if (answer.body === null) {
    throw new Error("an answer without a body");
  }
  return answer.body;
}

function eventsIn(stream: string): Body[] {
  return stream
    .split("\n\n")
    .filter((block) => block !== "")
    .map((block) => JSON.parse(block.replace(/^event: .*\ndata: /, "")) as Body);
}

async function answerTo(model: FakeModel, body: unknown): Promise<{ items: Body[]; usage: Body; events: Body[] }> {
  const answer = await post(model, body);
  expect(answer.status).toBe(200);
  const events = eventsIn(await answer.text());
  const response = events.at(-1)?.response as Body;
  return { items: recordsIn(response.output), usage: response.usage as Body, events };
}

async function refusalOf(model: FakeModel, body: unknown): Promise<{ status: number; error: Body }> {
  const answer = await post(model, body);
  return { status: answer.status, error: ((await answer.json()) as { error: Body }).error };
}

/** The conversation after Codex has carried out the call in `items`. */
function continued(body: Body, items: Body[], outputs: Body[]): Body {
  return { ...body, input: [...recordsIn(body.input), ...items, ...outputs] };
}

function prompt(text: string): Body {
  return { role: "user", content: [{ type: "input_text", text }] };
}

const minimal = { model: "gpt-5.5", stream: true, input: [prompt("Hello.")] };

describe("a scripted answer", () => {
  it("streams a message in the order of the API, every event numbered", async () => {
    const model = await startModel([say("Hello. ".repeat(40))]);
    const { events } = await answerTo(model, minimal);
    expect(events.map((event) => event.type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_event, index) => index));
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    expect(deltas.map((event) => event.delta).join("")).toBe("Hello. ".repeat(40));
  });

  it("calls exec_command for a model with plain tools", async () => {
    const model = await startModel([run("git status")]);
    const { items } = await answerTo(model, await fixture("gpt-5.5-turn-1"));
    expect(items.at(-1)).toMatchObject({ type: "function_call", name: "exec_command" });
    expect(JSON.parse(String(items.at(-1)?.arguments))).toMatchObject({ cmd: "git status" });
  });

  it("writes code for a model that runs code", async () => {
    const model = await startModel([run('echo "`hi`"')]);
    const { items } = await answerTo(model, await fixture("gpt-6.1-sol-turn-1"));
    expect(items.at(-1)).toMatchObject({ type: "custom_tool_call", name: "exec" });
    expect(items.at(-1)?.input).toContain('tools.exec_command({"cmd":"echo \\"`hi`\\""');
  });

  it.each(["gpt-5.5", "gpt-6.1-sol"])("reviews what %s had Codex read", async (slug) => {
    const model = await startModel(reviewer);
    const { items } = await answerTo(model, await fixture(`${slug}-turn-2`));
    const [{ text } = { text: "" }] = recordsIn(items.at(-1)?.content);
    expect(text).toContain("3 files changed, 9 lines added, 2 removed.");
    expect(text).toContain("`src/list.js:3` The last round of this loop");
    expect(model.violations).toEqual([]);
  });

  it("shows a script what each command printed and how the last one ended", async () => {
    const script = [
      run("a"),
      run("b"),
      decide(({ outputs, exitCode }) => say(`${JSON.stringify(outputs)} ${exitCode}`)),
    ];
    const model = await startModel(script);
    let body = await fixture("gpt-5.5-turn-1");
    for (const [output, code] of [
      ["first\n", 0],
      ["second\n", 3],
    ] as const) {
      const { items } = await answerTo(model, body);
      const report = `Wall time: 0.1 seconds\nProcess exited with code ${code}\nOutput:\n${output}`;
      const call_id = items.at(-1)?.call_id;
      body = continued(body, items, [{ type: "function_call_output", call_id, output: report }]);
    }
    const { items } = await answerTo(model, body);
    expect(recordsIn(items.at(-1)?.content)[0]?.text).toBe('["first\\n","second\\n"] 3');
  });

  it("polls a plain command that is still running, and counts it once", async () => {
    const model = await startModel([run("sleep 60"), decide(({ output }) => say(output))]);
    let body = await fixture("gpt-5.5-turn-1");
    const first = await answerTo(model, body);
    body = continued(body, first.items, [
      {
        type: "function_call_output",
        call_id: first.items.at(-1)?.call_id,
        output: "Chunk ID: 1\nWall time: 10 seconds\nProcess running with session ID 7\nOutput:\na\n",
      },
    ]);
    const poll = await answerTo(model, body);
    expect(poll.items.at(-1)).toMatchObject({ type: "function_call", name: "write_stdin" });
    expect(JSON.parse(String(poll.items.at(-1)?.arguments))).toMatchObject({ session_id: 7, chars: "" });
    body = continued(body, poll.items, [
      {
        type: "function_call_output",
        call_id: poll.items.at(-1)?.call_id,
        output: "Wall time: 9 seconds\nProcess exited with code 0\nOutput:\nb\n",
      },
    ]);
    const last = await answerTo(model, body);
    expect(recordsIn(last.items.at(-1)?.content)[0]?.text).toBe("a\nb\n");
  });

  it("waits for code that is still running", async () => {
    const model = await startModel([run("sleep 60"), decide(({ output, exitCode }) => say(`${output}${exitCode}`))]);
    let body = await fixture("gpt-6.1-sol-turn-1");
    const first = await answerTo(model, body);
    const [call_id, output] = [first.items.at(-1)?.call_id, "Script running with cell ID c1\nWall time 0.5 seconds\n"];
    body = continued(body, first.items, [{ type: "custom_tool_call_output", call_id, output }]);
    const poll = await answerTo(model, body);
    expect(poll.items.at(-1)).toMatchObject({ type: "function_call", name: "wait" });
    expect(JSON.parse(String(poll.items.at(-1)?.arguments))).toMatchObject({ cell_id: "c1" });
    const parts = ["Script completed\nOutput:\n", "exit code 9\n", "exit code 4"];
    body = continued(body, poll.items, [
      {
        type: "function_call_output",
        call_id: poll.items.at(-1)?.call_id,
        output: parts.map((text) => ({ type: "input_text", text })),
      },
    ]);
    const last = await answerTo(model, body);
    expect(recordsIn(last.items.at(-1)?.content)[0]?.text).toBe("exit code 9\n4");
  });

  it("starts over when a resumed conversation brings a new prompt", async () => {
    const model = await startModel([run("ls"), say("done")]);
    const body = await fixture("gpt-5.5-turn-2");
    const resumed = continued(body, [prompt("And now?")], []);
    expect((await answerTo(model, body)).items.at(-1)?.type).toBe("message");
    expect((await answerTo(model, resumed)).items.at(-1)?.type).toBe("function_call");
  });

  it("chooses the script by the prompt, and not by what Codex says in the user's name", async () => {
    const scripts = [
      { when: /environment_context/, script: [say("wrong")] },
      { when: /^Review/g, script: [say("review")] },
      { when: (text: string) => text === "Hello.", script: [say("greeting")] },
    ];
    const model = await startModel([say("other")], { scripts });
    const asked = [await fixture("gpt-5.5-turn-1"), minimal, { ...minimal, input: "Bye." }];
    const answers = await Promise.all(asked.map((body) => answerTo(model, body)));
    expect(answers.map(({ items }) => recordsIn(items.at(-1)?.content)[0]?.text)).toEqual([
      "review",
      "greeting",
      "other",
    ]);
  });

  it("keeps parallel conversations apart", async () => {
    const model = await startModel([fail({ status: 500, times: 1 }), say("ok")]);
    const bodies = ["a", "b", "c"].map((key) => ({ ...minimal, prompt_cache_key: key }));
    const statuses = async (): Promise<number[]> =>
      await Promise.all(bodies.map(async (body) => (await post(model, body)).status));
    expect(await statuses()).toEqual([500, 500, 500]);
    expect(await statuses()).toEqual([200, 200, 200]);
  });

  it("reports the usage a script sets, and a plausible one otherwise", async () => {
    const usage = { inputTokens: 1000, cachedInputTokens: 512, outputTokens: 20, reasoningTokens: 5 };
    const set = await startModel([say("x", { usage })]);
    expect((await answerTo(set, minimal)).usage).toEqual({
      input_tokens: 1000,
      input_tokens_details: { cached_tokens: 512, cache_write_tokens: 0 },
      output_tokens: 20,
      output_tokens_details: { reasoning_tokens: 5 },
      total_tokens: 1020,
    });
    const guessed = await startModel([say("x")]);
    expect((await answerTo(guessed, await fixture("gpt-5.5-turn-1"))).usage.input_tokens).toBeGreaterThan(1000);
  });

  it("records what it was sent, and when", async () => {
    const model = await startModel([say("x")], { clock: () => 1234 });
    await answerTo(model, minimal);
    expect(model.requests).toHaveLength(1);
    expect(model.requests[0]).toMatchObject({
      at: 1234,
      method: "POST",
      path: "/v1/responses",
      body: minimal,
      status: 200,
      isAborted: false,
    });
    expect(model.requests[0]?.headers.authorization).toBe(`Bearer ${apiKey}`);
  });
});

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
