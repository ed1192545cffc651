import { limits } from "../limits.ts";
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
  { fork, atOnce, suggestions = null }: Pick<PullRequestOrigin, "fork"> & PatchWays,
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
  const fence = fenceAround(text);
  return [
    `**${atOnce === null || fork ? "A patch waits" : "A patch was made"}: ${size}.** ${fork ? onFork(suggestions) : fates[atOnce ?? "patch"]}`,
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
/** How a patch gets to where it belongs. */
interface PatchWays {
  readonly atOnce: ReturnType<typeof patchAtOnce>;
  /** Where it stands as suggestions; null or not there if nowhere. */
  readonly suggestions?: string | null;
}

function onFork(suggestions: string | null): string {
  const how =
    suggestions === null
      ? "take the patch over by hand"
      : `[what of it the diff shows stands there as suggestions](${suggestions}), to be committed by whoever may push to it`;
  return `The head is in a fork, where Mayfly never pushes: ${how}.`;
}

/**
 * A patch as `git apply` takes it, in one block with a line above that says how; null where not every byte of it could be shown
 * as it is: hidden characters, odd names, or more than a check's details hold. Markdown, at most `limits.commentCharsMax`.
 */
export function renderWholePatch(files: readonly PatchFile[]): string | null {
  const whole = files.map(headed).join("");
  const fence = fenceAround(whole);
  const text = `${TAKE_OVER}\n\n${fence}diff\n${whole}${fence}`;
  // Quoting names is git's own art, and a carriage return is lost on the way over a page.
  const isExact = cleanText(whole).text === whole && files.every(({ path }) => PLAIN_NAME.test(path));
  return files.length > 0 && isExact && text.length <= limits.commentCharsMax ? text : null;
}

const TAKE_OVER =
  "Codex's whole patch. To take it over, copy the block into a file, read it, and run `git apply FILE` on a checkout of this commit.";
const PLAIN_NAME = /^[\w./+@-]+$/;

function fenceAround(text: string): string {
  return "`".repeat(Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length)) + 1);
}

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
