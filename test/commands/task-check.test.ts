import { limits } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CheckRun } from "../fakes/github/world.ts";
import type { PullView } from "../fakes/github/views.ts";
import { type CommandBench, LABEL, openCommands } from "./bench.ts";

const FOLDER = ".github/codex/labels";
const FILE = `${FOLDER}/${LABEL}.md`;
const GOOD = "---\neffort: high\n---\nReview this.\n";

let bench: CommandBench;

beforeAll(async () => {
  bench = await openCommands();
});

afterAll(() => bench.end());

/** Opens a pull request with these files, hands over that it was opened, and says what stands in its check. */
async function opened(
  name: string,
  files: Record<string, string>,
  options: { tasks?: Record<string, string>; fork?: string } = {},
): Promise<{ pull: PullView; checks: readonly CheckRun[]; reason: string | null }> {
  const pull = await bench.open(name, { tasks: { [LABEL]: GOOD }, ...options, head: { files } });
  const { reason } = await bench.handOver("pull_request", undefined, "opened");
  return { pull, checks: checksOf(pull), reason };
}

function checksOf(pull: PullView): readonly CheckRun[] {
  return bench.github.pullRequest(pull).checkRuns.filter(({ name }) => name === "mayfly / tasks");
}

function notesOf(check: CheckRun | undefined): unknown[][] {
  const notes = (check?.output.annotations ?? []) as Record<string, unknown>[];
  return notes.map((one) => [one["path"], one["start_line"], one["annotation_level"], one["message"]]);
}

describe("a pull request that changes a task file", () => {
  it("is told on the exact line why no run would start, in a check that fails", async () => {
    const text = "---\neffort: high\nsandbx: read-only\n---\nReview this.\n";
    const { checks } = await opened("mistake", { [FILE]: text });
    const [check] = checks;
    expect(checks).toHaveLength(1);
    expect(check).toMatchObject({
      status: "completed",
      conclusion: "failure",
      output: { title: "1 task file changes; 1 would start no run" },
    });
    expect(notesOf(check)).toEqual([[FILE, 3, "failure", expect.stringContaining("sandbox")]]);
  });

  it("is told what the operator does not allow, beside the option that asks for it", async () => {
    const { checks } = await opened("ceiling", {
      [FILE]: "---\neffort: low\npublish: [comment, patch]\n---\nReview this.\n",
    });
    const notes = notesOf(checks[0]);
    expect(notes).toContainEqual([FILE, 3, "failure", expect.stringContaining("publish: patch is not allowed here")]);
  });

  it("is told in plain words what becomes another, and what a task may do that it could not before", async () => {
    const text = "---\neffort: low\nsandbox: danger-full-access\nallow-users: [octocat]\n---\nReview all of this.\n";
    const { checks } = await opened("wider", { [FILE]: text });
    const [check] = checks;
    expect(check?.conclusion).toBe("neutral");
    const summary = check?.output.summary ?? "";
    expect(summary).toContain("Nothing of this is in force until it is merged");
    expect(summary).toContain(`### \`${LABEL}.md\` changes`);
    expect(summary).toContain("- `effort`: `high` becomes `low`");
    expect(summary).toContain("- `sandbox`: `workspace-write` becomes `danger-full-access`. **Codex's commands may");
    expect(summary).toContain("- The prompt changes.");
    expect(summary).toContain("by a label also, from allow-users: octocat");
    expect(notesOf(check)).toEqual([
      [FILE, 3, "warning", "Codex's commands may change more than before in its machine."],
      [FILE, 4, "warning", "People without write access may start it."],
    ]);
  });

  it("is told of new, removed and switched off tasks", async () => {
    const { checks, pull } = await opened("more", {
      [`${FOLDER}/codex-new.md`]: "Say what is new.\n",
      [`${FOLDER}/README.md`]: "What our tasks are for.\n",
      [FILE]: "---\nenabled: false\n---\n",
    });
    expect(checks[0]).toMatchObject({
      conclusion: "success",
      output: { title: "2 task files change, and can be merged" },
    });
    expect(checks[0]?.output.summary).toContain("### `codex-new.md` is new");
    expect(checks[0]?.output.summary).toContain(`### \`${LABEL}.md\` is switched off`);
    await bench.github.push(pull, { files: { [FILE]: GOOD, "README.md": "# B\n" } });
    await bench.handOver("pull_request", undefined, "synchronize");
    expect(checksOf(pull)[0]?.output.title).toBe("1 task file changes, and can be merged");
  });

  it("has one check for its head, however often the delivery comes", async () => {
    const { pull } = await opened("twice", { [FILE]: "---\nsandbx: x\n---\nReview.\n" });
    await bench.handOver("pull_request", crypto.randomUUID(), "opened", (body) => ({
      ...body,
      pull_request: { ...(body["pull_request"] as object), updated_at: "2030-01-01T00:00:00Z" },
    }));
    const checks = checksOf(pull);
    expect(checks).toHaveLength(1);
    expect(notesOf(checks[0])).toHaveLength(1);
  });

  it("is looked at on a fork as well, since it is only read", async () => {
    const { checks } = await opened("of-a-fork", { [FILE]: "---\nsandbx: x\n---\nReview.\n" }, { fork: "stranger" });
    expect(checks[0]?.conclusion).toBe("failure");
  });
});

describe("Re-run beside the check", () => {
  const by = { by: "maintainer" };
  const BAD = { [FILE]: "---\nsandbx: x\n---\nReview.\n" };

  /** Stands for what a press is for: the check says something that is no longer so. */
  async function outdated(name: string): Promise<{ pull: PullView; check: CheckRun }> {
    const { pull, checks } = await opened(name, BAD);
    const [check] = checks;
    if (check === undefined) {
      throw new Error("there is no check");
    }
    check.conclusion = "neutral";
    check.output = { ...check.output, title: "Something else" };
    return { pull, check };
  }

  it("looks at the pull request's files again, in the same check", async () => {
    const { pull, check } = await outdated("again");
    bench.github.rerequestCheck(pull.repo, check.id, by);
    const record = await bench.handOver("check_run", undefined, "rerequested");
    const title = "1 task file changes; 1 would start no run";
    expect(record).toMatchObject({ state: "applied", reason: title });
    expect(checksOf(pull)).toMatchObject([{ id: check.id, conclusion: "failure", output: { title } }]);
    expect(notesOf(checksOf(pull)[0])).toHaveLength(1);
    check.conclusion = "neutral";
    bench.github.rerequestCheck(pull.repo, check.id, by);
    expect(await bench.handOver("check_run", undefined, "rerequested")).toMatchObject({ state: "applied" });
    expect(checksOf(pull)).toMatchObject([{ id: check.id, conclusion: "failure" }]);
    expect(await bench.runsOn(pull)).toEqual([]);
  });

  it("is part of Re-run all checks", async () => {
    const { pull, check } = await outdated("again-with-all");
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
    expect(await bench.handOver("check_suite")).toMatchObject({ state: "applied" });
    expect(checksOf(pull)).toMatchObject([{ id: check.id, conclusion: "failure" }]);
  });

  it("looks at nothing once the pull request is closed", async () => {
    const { pull, check } = await outdated("again-closed");
    await bench.github.closePullRequest(pull, by);
    bench.github.rerequestCheck(pull.repo, check.id, by);
    const record = await bench.handOver("check_run", undefined, "rerequested");
    expect(record.reason).toBe(`pull request ${pull.number} is not open for the default branch`);
    expect(checksOf(pull)[0]?.conclusion).toBe("neutral");
  });

  it.each(["tasks:", "tasks:0", "tasks:1e3", "tasks:-1", "tasks:1234567890", "tasks:1 "])(
    "looks at nothing for a check that names %j",
    async (externalId) => {
      const { pull, check } = await outdated(`again-${Buffer.from(externalId).toString("hex")}`);
      bench.github.rerequestCheck(pull.repo, check.id, by);
      const record = await bench.handOver("check_run", undefined, "rerequested", (body) => ({
        ...body,
        check_run: { ...(body["check_run"] as object), external_id: externalId },
      }));
      expect(record).toMatchObject({ state: "ignored", reason: "the check run names no run" });
    },
  );
});

describe("a pull request that changes no task file", () => {
  it("gets no check, and costs two questions", async () => {
    const before = bench.github.tokens().length;
    const { checks, reason } = await opened("none", { "README.md": "# B\n" });
    expect([checks, reason]).toEqual([[], "no task file changes"]);
    const asked = bench.github
      .tokens()
      .slice(before)
      .flatMap(({ uses }) => uses);
    expect(asked.filter(({ method }) => method === "GET")).toHaveLength(2);
  });

  it("gets none for what came to the base branch since", async () => {
    const pull = await bench.open("behind", { tasks: { [LABEL]: GOOD } });
    await bench.github.commit(pull.repo, "main", { files: { [FILE]: "---\neffort: low\n---\nOther.\n" } });
    await bench.github.push(pull, { files: { "README.md": "# C\n" } });
    const { reason } = await bench.handOver("pull_request", undefined, "synchronize");
    expect(reason).toContain("no task file changes");
    expect(checksOf(pull)).toEqual([]);
  });
});

describe("a hostile task file", () => {
  it("says nothing in the check but what stands in code spans", async () => {
    const hostile =
      "---\n'@everyone ``` <img src=x> [x](https://evil.example) \\u202e': 1\nmodel: '`@alice` #1 ![x](y)'\n---\nx\n";
    const { checks } = await opened("hostile", { [FILE]: hostile, [`${FOLDER}/@bob.md`]: "x\n" });
    const summary = checks[0]?.output.summary ?? "";
    const outside = summary.replaceAll(/(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g, "");
    expect(outside).not.toMatch(/@everyone|@alice|@bob|<img|evil|!\[/);
    expect(summary).not.toMatch(/[\u202a-\u202e]/);
    expect(checks[0]?.conclusion).toBe("failure");
  });

  it("that is too big, no text or a folder is said to be that", async () => {
    const { checks } = await opened("odd", {
      [FILE]: "x".repeat(limits.taskBytesMax + 1),
      [`${FOLDER}/codex-binary.md`]: "a\0b",
      [`${FOLDER}/codex-folder.md/x`]: "x",
    });
    const notes = notesOf(checks[0]).map(([path, , , message]) => `${String(path)}: ${String(message)}`);
    expect(notes).toEqual([
      expect.stringMatching(/codex-binary\.md: the file is not a text/),
      expect.stringMatching(/codex-folder\.md: the file is a folder/),
      expect.stringMatching(/codex-review\.md: the file is bigger than 64 KiB/),
    ]);
  });

  it("is one of many: some are looked at, and the rest are counted", async () => {
    const files = Array.from({ length: limits.taskFilesCheckedMax + 5 }, (_, index) => [
      `${FOLDER}/codex-${String(index).padStart(2, "0")}.md`,
      "---\na: 1\nb: 1\nc: 1\n---\nx\n",
    ]);
    const { checks } = await opened("many", Object.fromEntries(files) as Record<string, string>);
    expect(checks).toHaveLength(1);
    expect(checks[0]?.output.summary).toContain("5 more task files change, which were not looked at");
    expect(notesOf(checks[0])).toHaveLength(3 * limits.taskFilesCheckedMax);
  });
});
