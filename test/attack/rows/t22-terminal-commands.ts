import { toTerminal } from "@mayfly/core";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { renderComment } from "../../../packages/core/src/render/comment.ts";
import { endedRun, endings, reportInput } from "../../../packages/core/src/render/run.fixture.ts";
import { findHiding } from "../corpus/code-points.ts";
import type { Random } from "../corpus/random.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

/** What terminals, log viewers and CI runners obey. */
const pieces = [
  "\u001b[2J",
  "\u001b[31m",
  "\u001b]0;title\u0007",
  "\u001b]8;;https://evil.example\u001b\\",
  "\u001b]52;c;ZXZpbA==\u0007",
  "\u001bP+q\u001b\\",
  "\u001bc",
  "\u009b2J",
  "\u009d0;x\u009c",
  "\u0090x\u009c",
  "\u001b",
  "\u0007",
  "\u0008",
  "\r",
  "\r\n",
  "\n",
  "\u0000",
  "\u007f",
  "\u0085",
  "\u2028",
  "\u2029",
  "\u202e",
  "\u2066",
  "\u200b",
  "\u{e0041}",
  "\ud800",
  "\ufeff",
  "::set-output name=a::b",
  "::add-mask::x",
  "::error file=a,line=1::b",
  "::stop-commands::x",
  "##[group]x",
  "##[error]x",
  "##vso[task.setvariable variable=a]b",
  '{"level":60,"msg":"forged"}',
  '","msg":"forged',
  "\\u001b",
  "\\",
  '"',
  "a",
  " ",
  "\t",
  "é",
];
/** A line that a CI runner would take for an order. */
const RUNNER_ORDER = /^\s*(?:::[a-z-]+[ :]|##\[|##vso\[)/m;

export const terminalCommands: Row = {
  id: "T22",
  attack:
    "Escape sequences, workflow commands and forged lines are put where a log, a terminal or a CI runner shows them.",
  needs: "nothing",
  unit: "texts",
  control: "the same looking finds them in the text as it came",
  async run(context) {
    const tally = createTally();
    tally.control(findHiding(pieces.join("")) !== null, "no escape sequence is seen in the corpus");
    tally.control(RUNNER_ORDER.test(pieces.join("\n")), "no workflow command is seen in the corpus");
    inTerminal(context, tally);
    inLog(context, tally);
    inComment(context, tally);
    return tally.verdict("no text commanded a terminal, began a line of the log, or ordered a runner about");
  },
};

function hostile(random: Random): string {
  return random.once(3)
    ? `a${String.fromCodePoint(random.int(0x300))}${String.fromCodePoint(random.int(0x11_0000))}b`
    : random.soup(pieces, 1, 10);
}

function inTerminal(context: AttackContext, tally: Tally): void {
  const random = context.random("terminal");
  for (let left = context.cases(100_000, 4_000); left > 0 && !tally.isBroken; left--) {
    const text = hostile(random);
    const code = findHiding(toTerminal(text));
    tally.expect(code === null, () => `U+${code?.toString(16)} of ${JSON.stringify(text)} reaches the terminal`);
  }
}

/** One record, one line, and nothing in it but what a terminal shows. */
function inLog(context: AttackContext, tally: Tally): void {
  const random = context.random("log");
  const lines: string[] = [];
  const { log } = createLog({ level: "info", write: (line) => void lines.push(line) });
  for (let left = context.cases(100_000, 4_000); left > 0 && !tally.isBroken; left--) {
    const text = hostile(random);
    lines.length = 0;
    log.info({ title: text, err: new Error(text), [text]: 1 }, text);
    const line = lines.join("");
    const isOne = lines.length === 1 && line.indexOf("\n") === line.length - 1;
    tally.expect(
      isOne && isRecordOf(line, text),
      () => `${JSON.stringify(text)} made of the log: ${JSON.stringify(line)}`,
    );
    const code = findHiding(line);
    tally.expect(code === null, () => `U+${code?.toString(16)} of ${JSON.stringify(text)} is in the log as it is`);
  }
}

function isRecordOf(line: string, text: string): boolean {
  try {
    const record = JSON.parse(line) as { msg: string; title: string; level: number };
    return record.msg === text.toWellFormed() || record.msg === text;
  } catch {
    return false;
  }
}

function inComment(context: AttackContext, tally: Tally): void {
  const random = context.random("comment");
  const run = endedRun(endings.succeeded);
  for (let left = context.cases(20_000, 800); left > 0 && !tally.isBroken; left--) {
    const text = hostile(random);
    const markdown = renderComment(run, reportInput(text));
    tally.expect(
      !RUNNER_ORDER.test(markdown),
      () => `${JSON.stringify(text)} is published as ${JSON.stringify(markdown)}`,
    );
    tally.expect(findHiding(markdown) === null, () => `${JSON.stringify(text)} is published with a control in it`);
  }
}
