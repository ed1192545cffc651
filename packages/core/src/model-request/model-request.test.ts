import { describe, expect, it } from "vitest";
import { type Body, bodyOf, hello, part, PIXEL, policy, rebuild, refusalOf } from "./model-request.fixture.ts";
import { rebuildModelRequest } from "./model-request.ts";
import { type ModelRefusalCode, modelRefusals } from "./refusal.ts";

describe("what is sent to the model", () => {
  it("is what was asked, with our own settings where they are ours", () => {
    expect(
      rebuild({
        instructions: "Be brief.",
        tool_choice: "auto",
        parallel_tool_calls: true,
        reasoning: { effort: "high", summary: "auto", context: "all_turns" },
        include: ["reasoning.encrypted_content"],
        prompt_cache_key: "theirs",
        client_metadata: { "x-codex-turn-metadata": '{"workspaces":{"/work/repo":{}}}' },
        service_tier: "auto",
        truncation: "disabled",
        background: false,
        previous_response_id: null,
      }),
    ).toEqual({
      model: "gpt-test",
      instructions: "Be brief.",
      input: [hello],
      tool_choice: "auto",
      parallel_tool_calls: true,
      reasoning: { effort: "high", summary: "auto", context: "all_turns" },
      include: ["reasoning.encrypted_content"],
      stream: true,
      store: false,
      max_output_tokens: 1_000,
      prompt_cache_key: "cache-of-the-attempt",
    });
  });

  it("never stores, also where the request leaves that to the API", () => {
    expect(rebuild({ store: null })).toMatchObject({ store: false });
    expect(rebuild({ store: undefined })).toMatchObject({ store: false });
  });

  it("answers with no more tokens than asked and than allowed", () => {
    expect(rebuild({ max_output_tokens: 400 })).toMatchObject({ max_output_tokens: 400 });
    expect(rebuild({ max_output_tokens: 4_000 })).toMatchObject({ max_output_tokens: 1_000 });
    expect(rebuild({}, { outputTokensMax: 7 })).toMatchObject({ max_output_tokens: 7 });
  });

  it("holds every item, part and tool that Codex carries out itself", () => {
    const image = { type: "input_image", detail: "high", image_url: PIXEL };
    const input = [
      { type: "additional_tools", id: "at_1", role: "developer", tools: [{ type: "custom", name: "exec" }] },
      { type: "message", role: "user", content: [image] },
      { type: "message", role: "assistant", phase: "commentary", content: [{ type: "output_text", text: "a" }] },
      { type: "message", role: "assistant", content: [{ type: "refusal", refusal: "no" }] },
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "s" }], encrypted_content: "sealed" },
      { type: "function_call", call_id: "c1", namespace: "clock", name: "now", arguments: "{" },
      { type: "function_call_output", call_id: "c1", output: [{ type: "input_text", text: "" }, image] },
      { type: "custom_tool_call", call_id: "c2", name: "exec", input: "text(1)" },
      { type: "custom_tool_call_output", call_id: "c2", output: "1" },
    ];
    const parameters = { type: "object", properties: { a: { $ref: "#/$defs/a" } }, $defs: { a: { enum: [1, null] } } };
    const tools = [
      { type: "function", name: "f", description: "d", strict: false, parameters },
      { type: "custom", name: "c", format: { type: "text" } },
      { type: "custom", name: "g", format: { type: "grammar", syntax: "lark", definition: "start: /a/" } },
      { type: "namespace", name: "n", description: "", tools: [{ type: "function", name: "f" }] },
    ];
    const text = { verbosity: "low", format: { type: "json_schema", name: "n", strict: true, schema: parameters } };
    expect(rebuild({ input, tools, text })).toMatchObject({ input, tools, text });
  });

  it("leaves out what says nothing: empty annotations, and the id of reasoning that is not sealed", () => {
    const said = { type: "output_text", text: "a", annotations: [], logprobs: [] };
    const input = [
      { type: "message", role: "assistant", content: [said] },
      { type: "reasoning", id: "rs_1", summary: [], content: null, encrypted_content: null },
    ];
    expect(rebuild({ input })["input"]).toEqual([
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "a" }] },
      { type: "reasoning", summary: [] },
    ]);
  });
});

describe("the bound on input tokens", () => {
  function inputTokensOf(more: Body): number {
    const result = rebuildModelRequest(JSON.stringify(bodyOf(more)), policy);
    return result.ok ? result.inputTokensMax : Number.NaN;
  }

  it("is at least the bytes of all text, however they are written", () => {
    const text = "\u{1F600}é\n".repeat(1_000);
    expect(inputTokensOf(part({ type: "input_text", text }))).toBeGreaterThan(new TextEncoder().encode(text).length);
  });

  it("counts an image by the most the API makes of one, whatever its size, and text that looks like one as text", () => {
    const big = `data:image/png;base64,${"A".repeat(1_000_000)}`;
    const small = inputTokensOf(part({ type: "input_image", image_url: PIXEL }));
    expect(inputTokensOf(part({ type: "input_image", image_url: big }))).toBe(small);
    expect(small).toBeGreaterThan(48_169);
    expect(small).toBeLessThan(60_000);
    expect(inputTokensOf(part({ type: "input_text", text: big }))).toBeGreaterThan(1_000_000);
  });
});

describe("a request", () => {
  it.each<[string, Body, ModelRefusalCode, string]>([
    ["for another model", { model: "gpt-other" }, "MODEL_OTHER", "model"],
    ["for no model", { model: null }, "FIELD_MISSING", "model"],
    ["for the fast lane", { service_tier: "priority" }, "TIER_OTHER", "service_tier"],
    ["for the cheap lane", { service_tier: "flex" }, "TIER_OTHER", "service_tier"],
    ["that is to be stored", { store: true }, "STORED_STATE", "store"],
    ["that goes on elsewhere", { background: true }, "STORED_STATE", "background"],
    ["that goes on from another", { previous_response_id: "resp_1" }, "STORED_STATE", "previous_response_id"],
    ["in a kept conversation", { conversation: { id: "conv_1" } }, "STORED_STATE", "conversation"],
    ["with a kept prompt", { prompt: { id: "pmpt_1" } }, "STORED_STATE", "prompt"],
    ["for somebody", { user: "a" }, "CALLER_IDENTITY", "user"],
    ["for somebody, in new words", { safety_identifier: "a" }, "CALLER_IDENTITY", "safety_identifier"],
    ["that is not streamed", { stream: false }, "FIELD_INVALID", "stream"],
    ["that may be cut", { truncation: "auto" }, "FIELD_INVALID", "truncation"],
    ["for more than it needs", { include: ["web_search_call.action.sources"] }, "FIELD_INVALID", "include[0]"],
    ["for no answer", { max_output_tokens: 0 }, "FIELD_INVALID", "max_output_tokens"],
    ["for half a token", { max_output_tokens: 1.5 }, "FIELD_INVALID", "max_output_tokens"],
    ["with text for conversation", { input: "hello" }, "FIELD_INVALID", "input"],
    ["without a conversation", { input: null }, "FIELD_MISSING", "input"],
    ["that forces a function", { tool_choice: { type: "function", name: "f" } }, "FIELD_INVALID", "tool_choice"],
    ["that thinks in another mode", { reasoning: { mode: "pro" } }, "FIELD_UNKNOWN", "reasoning"],
    ["for JSON of any kind", { text: { format: { type: "json_object" } } }, "FIELD_INVALID", "text.format.type"],
    [
      "for a schema elsewhere",
      { text: { format: { type: "json_schema", name: "a", schema: { $ref: "https://example.com" } } } },
      "URL_REFERENCE",
      "text.format.schema",
    ],
    ...["metadata", "context_management", "max_tool_calls", "moderation", "stream_options", "temperature", "top_p"].map(
      (name): [string, Body, ModelRefusalCode, string] => [`with ${name}`, { [name]: {} }, "FIELD_UNKNOWN", "body"],
    ),
    ...["prompt_cache_retention", "prompt_cache_options", "top_logprobs", "access_programs", "image", "Model"].map(
      (name): [string, Body, ModelRefusalCode, string] => [`with ${name}`, { [name]: {} }, "FIELD_UNKNOWN", "body"],
    ),
    ["with a name of every object", { constructor: {} }, "FIELD_UNKNOWN", "body"],
  ])("%s is refused", (_name, more, code, at) => {
    expect(refusalOf(more)).toEqual([code, at]);
  });

  it.each<[string, string, ModelRefusalCode]>([
    ["no JSON", "{", "BODY_NOT_JSON"],
    ["a field twice", '{"model":"gpt-test","model":"gpt-test"}', "DUPLICATE_KEY"],
    ["a field twice, once escaped", '{"model":"gpt-test","mod\\u0065l":"gpt-other"}', "DUPLICATE_KEY"],
    ["a prototype", '{"__proto__":{"model":"gpt-test"}}', "FORBIDDEN_KEY"],
    ["half a character", '{"model":"\\ud800"}', "BODY_NOT_TEXT"],
    ["too many levels", "[".repeat(1_000_000), "BODY_TOO_DEEP"],
    ["too many values", `[${"0,".repeat(500_000)}0]`, "BODY_TOO_MANY_VALUES"],
    ["too many characters", `"${"a".repeat(policy.inputCharsMax)}"`, "BODY_TOO_LONG"],
    ["a list", "[]", "FIELD_INVALID"],
    ["null", "null", "FIELD_INVALID"],
  ])("that is or has %s is refused", (_name, text, code) => {
    expect(refusalOf(text)).toEqual([code, "body"]);
  });

  it("is refused with a code that has words", () => {
    for (const words of Object.values(modelRefusals)) {
      expect(words).toMatch(/^(?:the|a|an) .+[^.]$/);
    }
  });
});
