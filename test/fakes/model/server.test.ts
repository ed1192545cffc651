import { describe, expect, it } from "vitest";
import { recordsIn } from "./json.ts";
import { reviewer } from "./reviewer.ts";
import { decide, fail, run, say } from "./script.ts";
import { apiKey, startModel, fixture, post, answerTo, continued, prompt, minimal } from "./server-suite.fixture.ts";

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
