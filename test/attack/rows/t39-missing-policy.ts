import { parseTaskFile, parseWebhook, type Run, triggerOf } from "@mayfly/core";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import { createRunStarter } from "../../../apps/orchestrator/src/intake/start-run.ts";
import type { Random } from "../corpus/random.ts";
import { pullRequestBody } from "../corpus/webhook-bodies.ts";
import { type GitHubBench, LABEL, MAINTAINER, openGitHub } from "../github-bench.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const PATH = `.github/codex/labels/${LABEL}.md`;
const ceiling = {
  labels: ["codex-*"],
  repositories: ["*/*"],
  models: ["gpt-5.5"],
  safetyStrategies: ["unprivileged-user"],
  publications: ["comment", "check"],
  runMsMax: 3_600_000,
  setupHosts: [],
} as const;

/** Contents that are no task file; the operator's ceiling stands above each that is one. */
const broken: Readonly<Record<string, string>> = {
  "an empty file": "",
  "blanks alone": " \n\t\n",
  "front matter without a prompt": "---\ntimeout: 5m\n---\n",
  "front matter without an end": "---\ntimeout: 5m\nReview this.\n",
  "no YAML": "---\n{{{\n---\nReview this.\n",
  "an unknown option": "---\nallow-everybody: true\n---\nReview this.\n",
  "an option twice": "---\nallow-users: [a]\nallow-users: [b]\n---\nReview this.\n",
  "an anchor": "---\nallow-users: &a [x]\nallow-bot-users: *a\n---\nReview this.\n",
  "two documents": "---\ntimeout: 5m\n--- x\n---\nReview this.\n",
  "a NUL": "---\ntimeout: 5m\n---\nReview\0 this.\n",
  "a prototype": "---\n__proto__: {allow-users: [x]}\n---\nReview this.\n",
  "a file too big": `Review this.\n${"x".repeat(65 * 1024)}`,
  "a strategy that is not allowed": "---\nsafety-strategy: unsafe\n---\nReview this.\n",
  "a model that is not allowed": "---\nmodel: gpt-other\n---\nReview this.\n",
  "a time that is not allowed": "---\ntimeout: 9h\n---\nReview this.\n",
};

/** What GitHub may say when the file is asked for. */
const answers: Readonly<Record<string, { status: number; body?: unknown }>> = {
  "GitHub says 404": { status: 404 },
  "GitHub says 403": { status: 403 },
  "GitHub says 500": { status: 500 },
  "GitHub says 200 and nothing": { status: 200, body: {} },
  "it is a link": {
    status: 200,
    body: { type: "symlink", target: "/etc/passwd", size: 12, encoding: "base64", content: btoa("Review this.") },
  },
  "it is a submodule": { status: 200, body: { type: "submodule", size: 0 } },
  "it is a folder": { status: 200, body: [] },
  "it is said to be too big": {
    status: 200,
    body: { type: "file", size: 10 ** 9, encoding: "none", content: "" },
  },
};

export const missingPolicy: Row = {
  id: "T39",
  attack: "The task file is missing, broken, a link, elsewhere, or GitHub does not give it out.",
  needs: "redis",
  unit: "task files",
  control: "with a sound file on the default branch the same label starts a run",
  async run(context) {
    const tally = createTally();
    const bench = await openGitHub(context);
    tally.control(await mayRun(bench, { content: "Review this.\n" }), "a sound task file starts nothing");
    for (const [what, content] of Object.entries(broken)) {
      tally.expect(!(await mayRun(bench, { content })), () => `a run starts with ${what}`);
    }
    for (const [what, answer] of Object.entries(answers)) {
      tally.expect(!(await mayRun(bench, { content: "Review this.\n", answer })), () => `a run starts though ${what}`);
    }
    tally.expect(!(await mayRun(bench, { content: null })), "a run starts without a task file");
    tally.expect(
      !(await mayRun(bench, { content: null, onHead: "Review this.\n" })),
      "a run starts with the head's task file",
    );
    await bench.close();
    hostileFiles(context, tally);
    return tally.verdict("without a sound task file on the default branch nothing starts");
  },
};

interface Case {
  readonly content: string | null;
  readonly onHead?: string;
  readonly answer?: { status: number; body?: unknown };
}

/** Whether the label starts a run; a fault of GitHub's starts none and is asked again later. */
async function mayRun(bench: GitHubBench, { content, onHead, answer }: Case): Promise<boolean> {
  const { github, reader } = bench;
  const files = { "README.md": "# Shelf\n", ...(content === null ? {} : { [PATH]: content }) };
  const name = `policy-${randomIds.run(Date.now()).slice(-10)}`;
  const repository = await github.createRepository({ owner: "example-org", name, files });
  github.setRole(repository.fullName, MAINTAINER, "maintain");
  const head = { files: { "more.txt": "more", ...(onHead === undefined ? {} : { [PATH]: onHead }) } };
  const pull = await github.openPullRequest({ repo: repository.fullName, title: "Say more", author: MAINTAINER, head });
  const body = pullRequestBody({
    number: pull.number,
    head: pull.headSha,
    sender: { id: 7, login: MAINTAINER, type: "User" },
  });
  Object.assign(body, {
    installation: { id: repository.installationId },
    repository: { id: repository.id, name, owner: { login: "example-org" }, default_branch: repository.defaultBranch },
  });
  Object.assign(body["pull_request"] as object, {
    head: {
      sha: pull.headSha,
      ref: pull.headRef,
      repo: { id: repository.id, full_name: repository.fullName, fork: false },
    },
    base: { sha: pull.baseSha, ref: pull.baseRef, repo: { id: repository.id } },
  });
  const trigger = triggerOf(parseWebhook({ event: "pull_request", body }), { labels: ["codex-*"], appSlug: "mayfly" });
  if (trigger.kind !== "start") {
    throw new Error(`the label asks for ${trigger.kind}`);
  }
  if (answer !== undefined) {
    github.failNext({ pathPattern: /\/contents\/\.github\/codex/, ...answer });
  }
  const starter = createRunStarter({ reader, ceiling, modelDefault: "gpt-5.5" });
  const now = Date.now();
  const asked = { id: randomIds.run(now), delivery: "d-1", trigger, now } as Parameters<typeof starter.prepare>[0];
  const run: Run | null = await starter.prepare(asked).catch(() => null);
  return run?.phase === "queued";
}

const pieces = [
  "---\n",
  "---",
  "\n",
  "allow-users: ",
  "allow-bots: true\n",
  "[x]\n",
  "safety-strategy: ",
  "unsafe\n",
  "unprivileged-user\n",
  "timeout: ",
  "5m\n",
  "codex-args: ",
  "output-schema: ",
  "{a: 1}\n",
  "&a ",
  "*a\n",
  "!!js/function ",
  "<<: ",
  "? ",
  ": ",
  "- ",
  "|\n",
  ">\n",
  "{",
  "}",
  "[",
  "]",
  '"',
  "'",
  "\t",
  "\0",
  "\u0085",
  "#",
  "Review this.\n",
  "__proto__: ",
  "constructor: ",
  "%YAML 1.1\n",
  "...\n",
  "\uFEFF",
];

/** Any text at all: it is read or refused, never anything else, and nothing is granted that is not written there. */
function hostileFiles(context: AttackContext, tally: Tally): void {
  const random = context.random("task files");
  for (let left = context.cases(100_000, 3_000); left > 0 && !tally.isBroken; left--) {
    const text = fileOf(random);
    let problem: string | null = null;
    try {
      const file = parseTaskFile(text);
      problem = file.ok
        ? grantedUnwritten(text, file.options)
        : file.problems.length === 0
          ? "refused without a reason"
          : null;
    } catch (error) {
      problem = String(error);
    }
    tally.expect(problem === null, () => `${JSON.stringify(text)}: ${problem}`);
  }
}

function fileOf(random: Random): string {
  return `${random.once(4) ? "" : "---\n"}${random.soup(pieces, 0, 14)}${random.once(4) ? "" : "\n---\nReview this.\n"}`;
}

function grantedUnwritten(text: string, options: object): string | null {
  const granted = Object.entries(options).find(([name]) => {
    const written = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replace("timeout-ms", "timeout");
    return !text.includes(written);
  });
  return granted === undefined ? null : `${granted[0]} is granted though it is not written`;
}
