import type { Random } from "./random.ts";

type Kind = "claim" | "gate" | "events" | "result";

const sound: Readonly<Record<Kind, unknown>> = {
  claim: { protocol: 1, agent: "test", codex: "0.169.0" },
  gate: { safety_strategy: "unprivileged-user", checks: [{ name: "identity", ok: true, seen: "uid 1001" }] },
  events: { first: 0, events: [{ type: "codex_started" }, { type: "codex", line: "{}" }, { type: "note", text: "x" }] },
  result: {
    kind: "result",
    epoch: 1,
    result: {
      codex: { version: "0.169.0", exit_code: 0, ended_by: "exit", error: null },
      final_message: { state: "present", text: "All is well." },
      structured: null,
      patch: { state: "present", text: "" },
      usage: null,
    },
  },
};

const values: readonly string[] = [
  "null",
  "true",
  "-1",
  "1e999",
  "0.1",
  "9007199254740993",
  '""',
  '"x"',
  '"\\u0000"',
  '"\\ud800"',
  "[]",
  "{}",
  '{"__proto__":{"ok":true}}',
  '{"constructor":{"prototype":{}}}',
  '"present"',
  "[[[[[[[[[[1]]]]]]]]]]",
];

/** A frame of that kind with something wrong in it, or, now and then, nothing. */
export function hostileFrame(random: Random, kind: Kind): string {
  const text = JSON.stringify(sound[kind]);
  switch (random.int(12)) {
    case 0:
      return text;
    case 1:
      return text.slice(0, random.int(text.length));
    case 2:
      return insert(
        random,
        text,
        random.pick(["\0", "\n", "'", "//", "\u2028", ",", "}", "]", '"', "\\", "NaN", "\uFEFF"]),
      );
    case 3:
      return withName(
        random,
        text,
        `"${random.pick(["run", "publish", "machine", "__proto__", "constructor", "epoch"])}"`,
      );
    case 4:
      return twin(random, text);
    case 5:
      return text.replace(/:(?:true|null|\d+|"[^"]*")/, `:${random.pick(values)}`);
    case 6:
      return replaceOne(random, text, random.pick(values));
    case 7:
      return replaceOne(random, text, `"${random.pick(["x", "\\u0000", "é", "🙂"]).repeat(1 + random.int(3_000))}"`);
    case 8:
      return "[".repeat(1 + random.int(20_000));
    case 9:
      return replaceOne(random, text, `${'{"a":'.repeat(1 + random.int(400))}1${"}".repeat(1 + random.int(400))}`);
    case 10:
      return random.pick([
        "",
        " ",
        "null",
        "0",
        '"x"',
        "[]",
        "{}",
        `[${text}]`,
        `${text}${text}`,
        `\uFEFF${text}`,
        `${text}\u0000`,
      ]);
    default:
      return replaceOne(random, text, `[${"0,".repeat(random.int(2_000))}0]`);
  }
}

function insert(random: Random, text: string, what: string): string {
  const at = random.int(text.length + 1);
  return text.slice(0, at) + what + text.slice(at);
}

/** One field more, in some object of it. */
function withName(random: Random, text: string, name: string): string {
  const places = [...text.matchAll(/\{(?=")/g)].map(({ index }) => index + 1);
  const at = random.pick(places);
  return `${text.slice(0, at)}${name}:${random.pick(values)},${text.slice(at)}`;
}

/** A field that is there, once more: plainly or escaped. */
function twin(random: Random, text: string): string {
  const fields = [...text.matchAll(/"([a-z_]+)":/g)];
  const field = random.pick(fields);
  const name = field[1] ?? "";
  const escaped = random.once(2) ? name : `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
  return `${text.slice(0, field.index)}"${escaped}":${random.pick(values)},${text.slice(field.index)}`;
}

/** One value of it becomes another. */
function replaceOne(random: Random, text: string, value: string): string {
  const found = random.pick([...text.matchAll(/:(true|null|\d+|"[^"]*")/g)]);
  const at = found.index + 1;
  return text.slice(0, at) + value + text.slice(at + (found[1] ?? "").length);
}
