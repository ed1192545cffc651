import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { run, say } from "../../fakes/model/script.ts";
import { createFakeModel, type FakeModel } from "../../fakes/model/server.ts";
import { type CodexCli, unpackCodex } from "./codex-cli.ts";
import { models, policyFor, readRequest } from "./fixtures.ts";
import { type Recorder, startRecorder } from "./recorder.ts";
import { shapeOf } from "./shape.ts";

/** Fetching 170 MB, where npm's cache has no copy, and unpacking 370 MB on a busy host. */
const UNPACK_MS = 600_000;
const TEST_MS = 120_000;

const apiKey = "sk-contract";
let codex: CodexCli | null = null;
let fake: FakeModel | null = null;
let recorder: Recorder | null = null;

beforeAll(async () => {
  codex = await unpackCodex();
}, UNPACK_MS);

afterEach(async () => {
  await recorder?.close();
  await fake?.close();
  recorder = null;
  fake = null;
});

afterAll(async () => {
  await codex?.remove();
});

it.each(models)(
  "knows every field the pinned CLI sends for %s, and the model takes what is made of it",
  async (model) => {
    fake = await createFakeModel({ apiKey, script: [run("echo found"), say("Nothing to report.")] });
    recorder = await startRecorder({ policy: policyFor(model), modelUrl: fake.url, apiKey });
    const ended = await codex?.run({ model, prompt: "Review this pull request.", port: recorder.port });
    expect(recorder.refusals).toEqual([]);
    expect(fake.violations).toEqual([]);
    expect(ended).toMatchObject({ exitCode: 0, lastMessage: "Nothing to report." });
    expect(recorder.bodies).toHaveLength(2);
    for (const [index, body] of recorder.bodies.entries()) {
      const recorded: unknown = JSON.parse(await readRequest({ model, turn: index + 1 }));
      expect(shapeOf(body)).toEqual(shapeOf(recorded));
    }
  },
  TEST_MS,
);

it.each(models)(
  "knows how the pinned CLI asks %s for an answer of a given shape",
  async (model) => {
    const schema = {
      type: "object",
      properties: { a: { type: "string" } },
      required: ["a"],
      additionalProperties: false,
    };
    fake = await createFakeModel({ apiKey, script: [say('{"a":"b"}')] });
    recorder = await startRecorder({ policy: policyFor(model), modelUrl: fake.url, apiKey });
    const outputSchema = JSON.stringify(schema);
    const ended = await codex?.run({ model, prompt: "Answer.", port: recorder.port, outputSchema });
    expect([...recorder.refusals, ...fake.violations]).toEqual([]);
    expect(ended).toMatchObject({ exitCode: 0, lastMessage: '{"a":"b"}' });
    expect(recorder.bodies).toMatchObject([
      { text: { format: { type: "json_schema", strict: true, name: "codex_output_schema", schema } } },
    ]);
    expect(fake.requests[0]?.body).toMatchObject({ store: false, text: { format: { schema } } });
  },
  TEST_MS,
);
