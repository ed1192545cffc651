import { readFile } from "node:fs/promises";
import { afterEach, expect } from "vitest";
import { recordsIn } from "./json.ts";
import type { Script } from "./script.ts";
import { createFakeModel } from "./server.ts";
import type { FakeModel, FakeModelOptions } from "./server.ts";

export type Body = Record<string, unknown>;

export const apiKey = "sk-fixture";
const models: FakeModel[] = [];

afterEach(async () => {
  await Promise.all(models.splice(0).map((model) => model.close()));
});

export async function startModel(script: Script, options: Partial<FakeModelOptions> = {}): Promise<FakeModel> {
  const model = await createFakeModel({ apiKey, script, ...options });
  models.push(model);
  return model;
}

export async function fixture(name: string): Promise<Body> {
  const url = new URL(`../../fixtures/codex-requests/${name}.json`, import.meta.url);
  return JSON.parse(await readFile(url, "utf8")) as Body;
}

export async function post(model: FakeModel, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${model.url}/responses`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

export function bodyOf(answer: Response): ReadableStream<Uint8Array> {
  if (answer.body === null) {
    throw new Error("an answer without a body");
  }
  return answer.body;
}

export function eventsIn(stream: string): Body[] {
  return stream
    .split("\n\n")
    .filter((block) => block !== "")
    .map((block) => JSON.parse(block.replace(/^event: .*\ndata: /, "")) as Body);
}

export async function answerTo(
  model: FakeModel,
  body: unknown,
): Promise<{ items: Body[]; usage: Body; events: Body[] }> {
  const answer = await post(model, body);
  expect(answer.status).toBe(200);
  const events = eventsIn(await answer.text());
  const response = events.at(-1)?.response as Body;
  return { items: recordsIn(response.output), usage: response.usage as Body, events };
}

export async function refusalOf(model: FakeModel, body: unknown): Promise<{ status: number; error: Body }> {
  const answer = await post(model, body);
  return { status: answer.status, error: ((await answer.json()) as { error: Body }).error };
}

/** The conversation after Codex has carried out the call in `items`. */
export function continued(body: Body, items: Body[], outputs: Body[]): Body {
  return { ...body, input: [...recordsIn(body.input), ...items, ...outputs] };
}

export function prompt(text: string): Body {
  return { role: "user", content: [{ type: "input_text", text }] };
}

export const minimal = { model: "gpt-5.5", stream: true, input: [prompt("Hello.")] };
