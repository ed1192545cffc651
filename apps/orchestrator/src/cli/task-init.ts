import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError, parseTaskFile, type Publish, type TaskOptions, taskPath, toTerminal } from "@mayfly/core";
import type { Terminal } from "./terminal.ts";

/** Task files that are ready to use: `apps/orchestrator/tasks`. */
export const readyTasks = ["codex-review", "codex-fix", "codex-triage"];
const READY = fileURLToPath(new URL("../../tasks", import.meta.url));

const published: Readonly<Record<Publish, string>> = {
  comment: "its answer as a comment",
  check: "its answer beside a check",
  review: "a review with comments on the lines concerned",
  patch: "a patch, which is committed when a person with write access presses Apply patch",
  commit: "what Codex changed, as a commit in the name of whoever asked for the run",
  "draft-pull-request": "what Codex changed, as a draft pull request in the name of whoever asked for the run",
};

interface Copied {
  readonly task: string;
  readonly file: string;
  readonly isNew: boolean;
  readonly what: string;
}

/**
 * `mayfly task init`: copies ready tasks to where a run looks for them. Never overwrites; asks nobody. Idempotent. Throws
 * INPUT_INVALID for a folder that is none or cannot be written.
 */
export async function taskInit(
  terminal: Terminal,
  folder: string,
  flags: { task?: readonly string[]; json?: boolean },
): Promise<number> {
  const found = await stat(folder).catch(() => null);
  if (found?.isDirectory() !== true) {
    throw new AppError("INPUT_INVALID", `${folder} is no folder: name the root of the repository`);
  }
  const copied: Copied[] = [];
  for (const task of new Set(flags.task ?? readyTasks)) {
    copied.push(await copy(folder, task));
  }
  const isRepository = await stat(join(folder, ".git")).then(
    () => true,
    () => false,
  );
  const text = flags.json === true ? JSON.stringify({ tasks: copied }) : linesOf(copied, isRepository).join("\n");
  terminal.stdout(`${text}\n`);
  return 0;
}

async function copy(folder: string, task: string): Promise<Copied> {
  const text = await readFile(join(READY, `${task}.md`), "utf8");
  const path = taskPath(task);
  const read = parseTaskFile(text);
  if (!path.ok || !read.ok) {
    throw new Error(`the ready task ${task} is not one`);
  }
  const file = path.path;
  try {
    await mkdir(join(folder, file, ".."), { recursive: true });
    await writeFile(join(folder, file), text, { flag: "wx" });
    return { task, file, isNew: true, what: describe(read.options) };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") {
      return { task, file, isNew: false, what: "left as it is" };
    }
    throw new AppError("INPUT_INVALID", `${join(folder, file)} cannot be written`, { cause });
  }
}

function describe({ publish = [], sandbox }: TaskOptions): string {
  const writes = sandbox === "read-only" ? "Codex changes no files" : "Codex may change files in its machine";
  return `${writes}; the pull request gets ${publish.map((name) => published[name]).join(", and ")}`;
}

function linesOf(copied: readonly Copied[], isRepository: boolean): string[] {
  const files = copied.map(({ file, isNew, what }) => toTerminal(`${isNew ? "wrote" : "kept "} ${file}: ${what}`));
  const hint = isRepository ? [] : ["", "This folder has no .git: a run looks for these files at a repository's root."];
  return [
    ...files,
    ...hint,
    "",
    "What will happen: once the files are on the default branch, a person with write access who adds the label to a pull",
    "request, or comments `/codex TASK` there, starts a run. Nothing happens before, and nothing on other pull requests.",
    "",
    "Next, in the repository:",
    "  git switch --create codex-tasks && git add .github/codex && git commit --message 'Add tasks for Codex'",
    "  git push --set-upstream origin codex-tasks && gh pr create --fill",
    ...copied.map(({ task }) => `  gh label create ${task} --description 'Runs Codex on this pull request'`),
    "Then merge it, and add a label. Labels that start runs are the operator's setting policy.labels; `patch` must be",
    "named in policy.publications.",
  ];
}
