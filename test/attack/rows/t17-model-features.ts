import { limits, rebuildModelRequest } from "@mayfly/core";
import { say } from "../../fakes/model/script.ts";
import { startBroker } from "../broker-bench.ts";
import { type Body, hostileRequest, LEAK, soundRequest } from "../corpus/model-requests.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const policy = {
  model: "gpt-5.5",
  cacheKey: "cache-of-the-attempt",
  outputTokensMax: limits.modelOutputTokensMax,
  inputCharsMax: 1_000_000,
};

/** All that may be in a request to the model, written down here once more from the API's own description. */
const topLevel = new Set([
  "model",
  "instructions",
  "input",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "reasoning",
  "text",
  "include",
  "prompt_cache_key",
  "stream",
  "store",
  "max_output_tokens",
  "service_tier",
  "truncation",
  "temperature",
  "top_p",
]);
const toolTypes = new Set(["function", "custom", "namespace"]);
const itemTypes = new Set([
  "message",
  "reasoning",
  "function_call",
  "function_call_output",
  "custom_tool_call",
  "custom_tool_call_output",
  "additional_tools",
]);
const partTypes = new Set([
  "input_text",
  "output_text",
  "input_image",
  "refusal",
  "summary_text",
  "reasoning_text",
  "encrypted_content",
]);

/** The model's own servers fetch, call, keep and search when they are asked: they must not be asked. */
export const modelFeatures: Row = {
  id: "T17",
  attack:
    "The model's servers are asked to fetch an address, call a tool of theirs, keep a conversation or use another model.",
  needs: "redis",
  unit: "model requests",
  control: "each of these is objected to in the request as it came, and a sound request is sent on",
  async run(context) {
    const tally = createTally();
    const sound = rebuildModelRequest(JSON.stringify(soundRequest()), policy);
    tally.control(sound.ok && objectionTo(JSON.parse(sound.body) as Body) === null, "a sound request is not sent on");
    rebuilt(context, tally);
    await throughBroker(context, tally);
    return tally.verdict("the model's servers were asked for nothing but an answer to what stood in the request");
  },
};

function rebuilt(context: AttackContext, tally: Tally): void {
  const random = context.random("requests");
  let objected = 0;
  let taken = 0;
  for (let left = context.cases(100_000, 4_000); left > 0 && !tally.isBroken; left--) {
    const text = hostileRequest(random);
    objected += objectionTo(parse(text) ?? {}) === null ? 0 : 1;
    const result = rebuildModelRequest(text, policy);
    taken += result.ok ? 1 : 0;
    const objection = result.ok ? objectionTo(JSON.parse(result.body) as Body) : null;
    tally.expect(objection === null, () => `${text.slice(0, 300)} is sent on with ${objection}`);
    const isNamed =
      result.ok || (/^[A-Z_]{3,40}$/.test(result.code) && !result.at.includes("evil") && result.at.length < 120);
    tally.expect(isNamed, () => `${text.slice(0, 300)} is refused in its own words`);
  }
  tally.control(objected > 0, "nothing is objected to");
  tally.control(taken > 0, "no request at all is sent on");
}

/** The first thing in a request that its reader would act on beyond answering it; null for none. */
function objectionTo(body: Body): string | null {
  const strange = Object.keys(body).find((name) => !topLevel.has(name));
  if (strange !== undefined) {
    return `the field ${strange}`;
  }
  if (body["model"] !== policy.model || body["store"] !== false || body["stream"] !== true) {
    return "another model, a stored answer or no stream";
  }
  if (!["auto", "default", undefined].includes(body["service_tier"] as string | undefined)) {
    return "another tier";
  }
  if (Number(body["max_output_tokens"] ?? policy.outputTokensMax) > policy.outputTokensMax) {
    return "more output than allowed";
  }
  if (JSON.stringify(body["include"] ?? []).match(/^\[(?:"reasoning\.encrypted_content")?\]$/) === null) {
    return `include ${JSON.stringify(body["include"])}`;
  }
  return [...walk(body)].map(([name, value]) => objectionToPart(name, value)).find((found) => found !== null) ?? null;
}

function objectionToPart(name: string, value: unknown): string | null {
  if (
    ["file_id", "file_url", "file_data", "server_url", "container", "connector_id", "$ref", "annotations"].includes(
      name,
    )
  ) {
    return Array.isArray(value) && value.length === 0 ? null : `${name} ${JSON.stringify(value)}`;
  }
  if (name === "image_url") {
    return /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/.test(String(value))
      ? null
      : `image_url ${String(value)}`;
  }
  if (JSON.stringify(value) === JSON.stringify(LEAK)) {
    return `${name} with somebody's words`;
  }
  const types = { "tools[]": toolTypes, "input[]": itemTypes, "content[]": partTypes, "output[]": partTypes }[name];
  const type = (value as { type?: unknown } | null)?.type;
  return types === undefined || types.has(String(type)) ? null : `${name} of type ${String(type)}`;
}

/** Every named value in it; a list's elements carry the list's name and `[]`. */
function* walk(value: unknown): Generator<[string, unknown]> {
  if (Array.isArray(value)) {
    for (const one of value) {
      yield* walk(one);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      yield [name, inner];
      for (const one of Array.isArray(inner) ? inner : []) {
        yield [`${name}[]`, one];
      }
      yield* walk(inner);
    }
  }
}

function parse(text: string): Body | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Body) : null;
  } catch {
    return null;
  }
}

/** The same over a machine's own channel: a refused call costs the model nothing, for it never hears of it. */
async function throughBroker(context: AttackContext, tally: Tally): Promise<void> {
  const broker = await startBroker(await context.redis(), () => say("Fine."));
  const end = context.atEnd(() => broker.close());
  await broker.addRun();
  const channel = await broker.addMachine();
  const { capability } = await channel.claim();
  const checks = [{ name: "identity", ok: true, seen: "uid 1001" }];
  await channel.call({ path: "/v1/gate", token: capability, body: { safety_strategy: "unprivileged-user", checks } });
  const { key } = (await channel.call({ path: "/v1/key", token: capability })).body as { key: string };
  const random = context.random("calls");
  for (let left = context.cases(3_000, 60); left > 0 && !tally.isBroken; left--) {
    const text = hostileRequest(random);
    const before = broker.model.requests.length;
    const { status } = await channel.call({ path: "/v1/responses", token: key, body: text });
    const sent = broker.model.requests.slice(before);
    const objection = sent.map(({ body }) => objectionTo(body ?? {})).find((found) => found !== null) ?? null;
    tally.expect(objection === null, () => `${text.slice(0, 300)} reached the model with ${objection}`);
    tally.expect(status === 200 || sent.length === 0, () => `${text.slice(0, 300)} was refused and sent all the same`);
  }
  tally.expect(broker.model.violations.length === 0, () => broker.model.violations.join("; "));
  await end();
}
