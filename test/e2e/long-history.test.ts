import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import type { Conversation } from "../fakes/model/conversation.ts";
import { diffCommand } from "../fakes/model/reviewer.ts";
import { run, say, type Turn } from "../fakes/model/script.ts";
import { commitFiles } from "../fakes/github/git-store.ts";
import type { PullView } from "../fakes/github/views.ts";
import { finding } from "../safe-output/reviews.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { bigTree, gitIn, type History, longHistory, makeHistory } from "./histories.ts";
import { ended, endingOf, LABEL, label, leave, MAINTAINER, RUN_MS } from "./scene.ts";

const OWNER = "example-org";
const TASK = `---
timeout: 10m
publish: [comment, check, review]
---
Review this. {{ diff-stat }}
`;
/** A history is made in seconds; a busy host takes its time. */
const HISTORY_MS = 120_000;

/** What is pushed after the first run. */
const NEW_FILE = { "src/new.ts": "export const isNew = true;\n" };
/** One commit, one file and two trees, as a pack with its index, for a folder of two hundred: a few KB. */
const NEW_BYTES_MAX = 32 * 1024;

/** A line that a diff adds, as git says it. */
interface AddedLine {
  readonly path: string;
  readonly line: number;
}

let folder: string;
let world: TestWorld;
/** What the machine said of its tree, and what the model found, by the head that the prompt names. */
const seen = new Map<string, string>();
const found = new Map<string, readonly AddedLine[]>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-histories-"));
  world = await startWorld({ script, environment: { MAYFLY_MACHINES_MAX: "1" } });
}, RUN_MS);

afterAll(async () => {
  await leave(world);
  await rm(folder, { recursive: true, force: true });
});

/** Looks at what there is, and finds something on the lines that the test knows to be added. */
function script(conversation: Conversation): Turn {
  const diff = diffCommand(conversation.prompt);
  if (conversation.step === 0) {
    return run(`${diff} --shortstat; git rev-parse 'HEAD^{tree}'; git ls-files | wc -l; git status --short | head -5`);
  }
  const head = diff.split("...")[1] ?? "";
  seen.set(head, conversation.output);
  const findings = (found.get(head) ?? []).map((at, index) => ({
    ...finding,
    ...at,
    title: `Finding ${index}`,
    suggestion: null,
  }));
  return say(JSON.stringify({ summary: "Looked at.", verdict: "minor_problems", findings }));
}

/** One pull request from the history's topic, and its run. */
async function review(name: string, { directory: gitDirectory }: History): Promise<{ pull: PullView; view: RunView }> {
  const history = { gitDirectory, branch: "main" };
  const { fullName } = await world.github.createRepository({ owner: OWNER, name, history });
  await world.github.commit(fullName, "main", { files: { [`.github/codex/labels/${LABEL}.md`]: TASK } });
  world.github.setRole(fullName, MAINTAINER, "maintain");
  const pull = await world.github.openPullRequest({
    repo: fullName,
    title: "Add things",
    author: "author",
    head: { gitDirectory, branch: "topic" },
  });
  found.set(pull.headSha, (await addedLines(gitDirectory)).slice(0, 3));
  return { pull, view: await ended(world, await label(world, pull), RUN_MS) };
}

/** By git itself, in another clone than any that Mayfly makes. */
async function addedLines(directory: string, branch = "topic"): Promise<AddedLine[]> {
  const names = ["-c", "core.quotePath=false"];
  const diff = await gitIn(directory, [...names, "diff", "--unified=0", "--no-renames", `main...${branch}`]);
  const added: AddedLine[] = [];
  let path = "";
  for (const line of diff.split("\n")) {
    path = /^\+\+\+ b\/(.+)$/.exec(line)?.[1] ?? path;
    const [, start = "0", count = start === "0" ? "0" : "1"] = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line) ?? [];
    for (let index = 0; index < Number(count); index += 1) {
      added.push({ path, line: Number(start) + index });
    }
  }
  return added;
}

/** Everything a folder holds, in bytes. */
async function sizeOf(place: string): Promise<number> {
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function expectReviewed(
  { directory }: History,
  { pull, view }: { pull: PullView; view: RunView },
  branch = "topic",
): Promise<void> {
  expect(endingOf(view)).toMatchObject({ outcome: "succeeded", code: "answered" });
  const [shortstat = "", tree, files, ...dirty] = (seen.get(pull.headSha) ?? "").trim().split("\n");
  expect(shortstat.trim()).toBe((await gitIn(directory, ["diff", "--shortstat", `main...${branch}`])).trim());
  expect(tree).toBe(await gitIn(directory, ["rev-parse", `${branch}^{tree}`]));
  const names = await gitIn(directory, ["ls-tree", "-r", "--name-only", branch]);
  expect(Number(files)).toBe(names.split("\n").length);
  expect(dirty).toEqual([]);
  const [changed, added, removed] = [...shortstat.matchAll(/\d+/g)].map(([count]) => count);
  const prompts = JSON.stringify(world.model?.requests.map(({ body }) => body));
  expect(prompts).toContain(`files: ${changed}, lines added: ${added}, lines removed: ${removed}`);
  const { reviews } = world.github.pullRequest(pull);
  const lines = reviews.at(-1)?.comments.map(({ path, line, side }) => ({ path, line, side }));
  expect(lines).toEqual(found.get(pull.headSha)?.map((at) => ({ ...at, side: "RIGHT" })));
}

describe("a repository with twenty thousand commits", () => {
  it(
    "is reviewed on the lines that its pull request adds, and of its history only what the run needs is fetched",
    { timeout: HISTORY_MS + 2 * RUN_MS },
    async () => {
      const history = await makeHistory(join(folder, "long.git"), longHistory);
      expect(history.commits).toBeGreaterThan(20_000);
      const first = await review("long", history);
      await expectReviewed(history, first);
      // git quotes this name, GitHub and the model do not.
      expect(found.get(first.pull.headSha)?.[0]?.path).toBe("docs/\u65e5\u672c\u8a9e.md");
      const mirrors = join(world.stateDir, "source/mirrors");
      const fetched = await sizeOf(mirrors);
      expect(fetched).toBeLessThan((await sizeOf(history.directory)) / 4);

      // The next one brings what is new: a commit, a file and the trees above it.
      const { directory } = history;
      await commitFiles({
        directory,
        branch: "later",
        parent: await gitIn(directory, ["rev-parse", "topic"]),
        files: NEW_FILE,
        message: "Add one",
        author: "author",
        at: 0,
      });
      await world.github.push(first.pull, { files: NEW_FILE });
      const pull = world.github.pullRequest(first.pull);
      const isNew = ({ path }: AddedLine): boolean => path in NEW_FILE;
      found.set(pull.headSha, (await addedLines(directory, "later")).filter(isNew));
      const view = await ended(world, await label(world, pull), RUN_MS);
      await expectReviewed(history, { pull, view }, "later");
      expect((await sizeOf(mirrors)) - fetched).toBeLessThan(NEW_BYTES_MAX);
    },
  );
});

describe("a repository with thirty thousand files", () => {
  it(
    "is reviewed on the lines that its pull request adds, though that is old and has merged its base again and again",
    { timeout: HISTORY_MS + RUN_MS },
    async () => {
      const history = await makeHistory(join(folder, "big.git"), bigTree);
      await expectReviewed(history, await review("big", history));
    },
  );
});
