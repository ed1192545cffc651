import { type PatchCheck, type PatchFile, patchRefusals } from "../patch/check.ts";
import { renderHunks } from "../patch/line-diff.ts";
import type { PullRequestOrigin } from "../run-request.ts";
import type { patchAtOnce, PatchMode } from "../task-spec.ts";
import { cleanText } from "../safe-output/characters.ts";
import { codeSpan, count } from "./text.ts";

/** Named one by one; the folded diff has the rest. */
const FILES_SHOWN_MAX = 20;
/** The comment has 60,000 characters, and the answer is to keep most of them. */
const DIFF_CHARS_MAX = 20_000;
const DIFF_LINES_MAX = 500;
const LINE_CHARS_MAX = 500;

/**
 * What a report says of a patch: what it changes, how it is put on the branch or why it is not, and the diff, folded. At
 * most some 27,000 characters. Paths and contents are hostile and made safe here.
 */
export function renderPatch(
  check: PatchCheck,
  { fork, atOnce }: Pick<PullRequestOrigin, "fork"> & { readonly atOnce: ReturnType<typeof patchAtOnce> },
): string {
  if (!check.ok) {
    const where = check.path === null ? "" : `, ${codeSpan(check.path)}`;
    return `**The patch is not offered** (\`${check.code}\`${where}): ${check.why}. ${patchRefusals[check.code]}`;
  }
  const { files, added, removed } = check;
  if (files.length === 0) {
    return "**There is no patch: no file was changed.**";
  }
  const size = `${count(files.length)} ${files.length === 1 ? "file" : "files"}, +${count(added)} −${count(removed)} lines`;
  const named = files.slice(0, FILES_SHOWN_MAX).map((file) => `- ${codeSpan(file.path)} ${kindOf(file)}`);
  const more = files.length > FILES_SHOWN_MAX ? [`- and ${count(files.length - FILES_SHOWN_MAX)} more`] : [];
  const { text, isWhole } = diffOf(files);
  const fence = "`".repeat(Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length)) + 1);
  return [
    `**${atOnce === null || fork ? "A patch waits" : "A patch was made"}: ${size}.** ${fork ? ON_FORK : fates[atOnce ?? "patch"]}`,
    [...named, ...more].join("\n"),
    `<details><summary>The patch${isWhole ? "" : ", in part"}</summary>`,
    `${fence}diff\n${text}${fence}`,
    "</details>",
  ].join("\n\n");
}

const fates: Readonly<Record<PatchMode, string>> = {
  patch:
    "To put it on this branch as one commit, a person with write access presses `Apply patch` on this task's check, or comments `/codex apply`. " +
    "After another push it is not applied.",
  commit:
    "The task commits it to this branch by itself, if whoever asked for the run may write there now and nobody has pushed since; " +
    "this task's check says what became of it.",
  "draft-pull-request":
    "The task opens it as a draft pull request into this branch by itself, if whoever asked for the run may write there now and " +
    "nobody has pushed since; this task's check says what became of it.",
};
const ON_FORK = "The head is in a fork, where Mayfly never pushes: take the patch over by hand.";

function kindOf({ lines, isNew, bytes }: PatchFile): string {
  const [added, removed] = ["+", "-"].map((kind) => lines.filter((line) => line.kind === kind).length);
  const kind = isNew ? ", new" : bytes === null ? ", deleted" : "";
  return `+${count(added ?? 0)} −${count(removed ?? 0)}${kind}`;
}

function diffOf(files: readonly PatchFile[]): { text: string; isWhole: boolean } {
  const whole = files.map(headed).join("");
  const clean = cleanText(whole.slice(0, DIFF_CHARS_MAX)).text;
  const lines = clean.split("\n").slice(0, DIFF_LINES_MAX);
  const shown = lines.map((line) => (line.length > LINE_CHARS_MAX ? `${wellFormed(line)}…` : line)).join("\n");
  const text = shown.endsWith("\n") ? shown : `${shown}\n`;
  return { text, isWhole: text === whole };
}

function headed({ path, mode, isNew, bytes, lines }: PatchFile): string {
  const kind = isNew ? `new file mode ${mode}\n` : bytes === null ? `deleted file mode ${mode}\n` : "";
  const names = `--- ${isNew ? "/dev/null" : `a/${path}`}\n+++ ${bytes === null ? "/dev/null" : `b/${path}`}\n`;
  return `diff --git a/${path} b/${path}\n${kind}${names}${renderHunks(lines)}`;
}

function wellFormed(line: string): string {
  const cut = line.slice(0, LINE_CHARS_MAX);
  return cut.isWellFormed() ? cut : cut.slice(0, -1);
}
