import { describe, expect, it } from "vitest";
import { hostedItems, hostedTools } from "./hosted.fixture.ts";
import { type Body, hello, nest, part, PIXEL, refusalOf } from "./model-request.fixture.ts";
import type { ModelRefusalCode } from "./refusal.ts";

describe("a tool", () => {
  it.each(hostedTools)("of kind %s is refused wherever one is offered or demanded", (type) => {
    const tool = { type, name: "f", server_url: "https://example.com", container: { type: "container_auto" } };
    expect(refusalOf({ tools: [tool] })).toEqual(["TOOL_HOSTED", "tools[0].type"]);
    expect(refusalOf({ tools: [{ type: "namespace", name: "n", tools: [tool] }] })).toEqual([
      "TOOL_HOSTED",
      "tools[0].tools[0].type",
    ]);
    expect(refusalOf({ input: [{ type: "additional_tools", role: "developer", tools: [tool] }] })).toEqual([
      "TOOL_HOSTED",
      "input[0].tools[0].type",
    ]);
    expect(refusalOf({ tool_choice: { type } })).toEqual(["TOOL_HOSTED", "tool_choice"]);
  });

  const f = { type: "function", name: "f" };
  it.each<[string, Body, ModelRefusalCode, string]>([
    ["of an unknown kind", { type: "teleport" }, "TOOL_UNKNOWN", "tools[0].type"],
    ["named like a part of every object", { type: "constructor" }, "TOOL_UNKNOWN", "tools[0].type"],
    ["without a kind", { name: "f" }, "FIELD_MISSING", "tools[0].type"],
    ["with a kind that is no text", { type: ["function"] }, "FIELD_INVALID", "tools[0].type"],
    ["with one more field", { ...f, allowed_callers: [] }, "FIELD_UNKNOWN", "tools[0]"],
    ["that is fetched when needed", { ...f, defer_loading: true }, "FIELD_UNKNOWN", "tools[0]"],
    ["with a name that is none", { ...f, name: "a b" }, "FIELD_INVALID", "tools[0].name"],
    [
      "that holds namespaces",
      { ...f, type: "namespace", tools: [{ type: "namespace" }] },
      "TOOL_UNKNOWN",
      "tools[0].tools[0].type",
    ],
    [
      "with a schema elsewhere",
      { ...f, parameters: { a: [{ $ref: "https://example.com" }] } },
      "URL_REFERENCE",
      "tools[0].parameters",
    ],
    [
      "with a schema in a file",
      { ...f, parameters: { $ref: "other.json#/a" } },
      "URL_REFERENCE",
      "tools[0].parameters",
    ],
    [
      "with a schema of another base",
      { ...f, parameters: { $id: "//example.com" } },
      "URL_REFERENCE",
      "tools[0].parameters",
    ],
    [
      "in a language elsewhere",
      { ...f, parameters: { $schema: "https://example.com/schema" } },
      "URL_REFERENCE",
      "tools[0].parameters",
    ],
    ["with a deep schema", { ...f, parameters: nest(34) }, "SCHEMA_TOO_BIG", "tools[0].parameters"],
    [
      "with a long schema",
      { ...f, parameters: { enum: Array.from({ length: 10_001 }, () => 0) } },
      "SCHEMA_TOO_BIG",
      "tools[0].parameters",
    ],
    [
      "with a wordy schema",
      { ...f, parameters: { title: "a".repeat(300_000) } },
      "SCHEMA_TOO_BIG",
      "tools[0].parameters",
    ],
    [
      "with a grammar in no language",
      { type: "custom", name: "c", format: { type: "grammar", syntax: "c", definition: "" } },
      "FIELD_INVALID",
      "tools[0].format.syntax",
    ],
  ])("%s is refused", (_name, tool, code, at) => {
    expect(refusalOf({ tools: [tool] })).toEqual([code, at]);
  });

  it("is one of a bounded number", () => {
    const many = Array.from({ length: 257 }, () => f);
    expect(refusalOf({ tools: many })).toEqual(["TOOLS_TOO_MANY", "tools"]);
    expect(refusalOf({ tools: many.slice(1) })).toBe("accepted");
  });

  it("may name the language of its schema", () => {
    const $schema = "https://json-schema.org/draft/2020-12/schema";
    expect(refusalOf({ tools: [{ ...f, parameters: { $schema, $anchor: "a", $ref: "#a" } }] })).toBe("accepted");
  });
});

describe("the conversation", () => {
  it.each(hostedItems)("may hold no %s", (type) => {
    expect(refusalOf({ input: [hello, { type, id: "x_1", call_id: "c" }] })).toEqual(["ITEM_HOSTED", "input[1].type"]);
  });

  const call = { type: "function_call", call_id: "c", name: "f", arguments: "{}" };
  it.each<[string, unknown, ModelRefusalCode, string]>([
    ["an item of an unknown kind", { type: "dream" }, "ITEM_UNKNOWN", "input[0].type"],
    ["a bare reference", { id: "msg_1" }, "FIELD_MISSING", "input[0].type"],
    ["text without a speaker", { type: "message", content: [] }, "FIELD_MISSING", "input[0].role"],
    ["a speaker of its own", { ...hello, role: "tool" }, "FIELD_INVALID", "input[0].role"],
    ["text in short form", { ...hello, content: "hello" }, "FIELD_INVALID", "input[0].content"],
    ["one more field", { ...hello, metadata: {} }, "FIELD_UNKNOWN", "input[0]"],
    ["an item that is none", "hello", "FIELD_INVALID", "input[0]"],
    ["an item within a list", [hello], "FIELD_INVALID", "input[0]"],
    ["a long id", { ...hello, id: "a".repeat(129) }, "FIELD_INVALID", "input[0].id"],
    ["a strange id", { ...hello, id: "../a" }, "FIELD_INVALID", "input[0].id"],
    ["a call without an id", { ...call, call_id: "" }, "FIELD_INVALID", "input[0].call_id"],
    ["a call with an object for text", { ...call, arguments: {} }, "FIELD_INVALID", "input[0].arguments"],
    [
      "an output with a file",
      { type: "function_call_output", call_id: "c", output: [{ type: "input_file", file_id: "f" }] },
      "FILE_REFERENCE",
      "input[0].output[0].type",
    ],
    [
      "an output with an address",
      {
        type: "custom_tool_call_output",
        call_id: "c",
        output: [{ type: "input_image", image_url: "https://example.com" }],
      },
      "URL_REFERENCE",
      "input[0].output[0].image_url",
    ],
    ["reasoning without a summary", { type: "reasoning", encrypted_content: "a" }, "FIELD_MISSING", "input[0].summary"],
    [
      "tools that a user offers",
      { type: "additional_tools", role: "user", tools: [] },
      "FIELD_INVALID",
      "input[0].role",
    ],
  ])("may not hold %s", (_name, item, code, at) => {
    expect(refusalOf({ input: [item] })).toEqual([code, at]);
  });

  it.each<[string, Body, ModelRefusalCode, string]>([
    ["input_file", { file_url: "https://example.com" }, "FILE_REFERENCE", "type"],
    ["input_file", { file_data: "data:text/plain;base64,AAAA" }, "FILE_REFERENCE", "type"],
    ["input_audio", { input_audio: {} }, "FILE_REFERENCE", "type"],
    ["input_video", {}, "FILE_REFERENCE", "type"],
    ["computer_screenshot", { image_url: PIXEL }, "CONTENT_UNKNOWN", "type"],
    ["input_image", { file_id: "file_1", image_url: PIXEL }, "FILE_REFERENCE", "file_id"],
    ["input_image", {}, "FIELD_MISSING", "image_url"],
    ["input_image", { image_url: { url: PIXEL } }, "FIELD_INVALID", "image_url"],
    ["input_image", { image_url: "https://example.com/a.png" }, "URL_REFERENCE", "image_url"],
    ["input_image", { image_url: "HTTP://example.com" }, "URL_REFERENCE", "image_url"],
    ["input_image", { image_url: " data:image/png;base64,AAAA" }, "URL_REFERENCE", "image_url"],
    ["input_image", { image_url: "//example.com/a.png" }, "URL_REFERENCE", "image_url"],
    ["input_image", { image_url: "data:image/svg+xml;base64,AAAA" }, "IMAGE_INVALID", "image_url"],
    ["input_image", { image_url: "data:image/png,AAAA" }, "IMAGE_INVALID", "image_url"],
    ["input_image", { image_url: "DATA:image/png;base64,AAAA" }, "IMAGE_INVALID", "image_url"],
    ["input_image", { image_url: "data:image/png;base64,AA AA" }, "IMAGE_INVALID", "image_url"],
    ["input_image", { image_url: "data:image/png;base64,AAAA\n" }, "IMAGE_INVALID", "image_url"],
    ["input_image", { image_url: "data:image/png;base64," }, "IMAGE_INVALID", "image_url"],
    ["input_image", { image_url: `${PIXEL}${"A".repeat(8 * 1024 * 1024)}` }, "IMAGE_TOO_BIG", "image_url"],
    ["input_text", { text: 1 }, "FIELD_INVALID", "text"],
    [
      "output_text",
      { text: "a", annotations: [{ type: "url_citation", url: "https://example.com" }] },
      "FIELD_INVALID",
      "annotations",
    ],
  ])("may not hold a part %s with %j", (type, fields, code, field) => {
    expect(refusalOf(part({ type, ...fields }))).toEqual([code, `input[0].content[0].${field}`]);
  });
});
