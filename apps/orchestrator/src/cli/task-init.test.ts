import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { taskSchema } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestTerminal } from "../../../../test/support/test-terminal.ts";
import { createProgram } from "./program.ts";

let folder: string;

beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "mf-init-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

async function mayfly(...argv: string[]) {
  const { terminal, said } = createTestTerminal();
  const code = await createProgram(terminal, argv);
  return { code, ...said() };
}

const fileOf = (task: string) => join(folder, `.github/codex/labels/${task}.md`);

describe("mayfly task init", () => {
  it("writes tasks that a run takes, and says what they do and what to do next", async () => {
    const { code, out } = await mayfly("task", "init", folder);
    expect(code).toBe(0);
    const files = ["codex-review", "codex-fix", "codex-triage"].map(fileOf);
    expect(await mayfly("task", "check", ...files)).toMatchObject({ code: 0 });
    expect(out).toContain("wrote .github/codex/labels/codex-review.md: Codex changes no files; the pull request gets");
    expect(out).toContain("gh label create codex-fix");
    expect(out).toContain("has no .git");
  });

  it("writes only the tasks that are named, and leaves a file that is there as it is", async () => {
    await mkdir(join(folder, ".git"));
    await mkdir(join(folder, ".github/codex/labels"), { recursive: true });
    await writeFile(fileOf("codex-fix"), "Mine.\n");
    const { code, out } = await mayfly("task", "init", folder, "--task", "codex-fix", "codex-triage");
    expect(code).toBe(0);
    expect(out).toContain("kept  .github/codex/labels/codex-fix.md: left as it is");
    expect(out).not.toMatch(/codex-review|no \.git/);
    expect(await readFile(fileOf("codex-fix"), "utf8")).toBe("Mine.\n");
    expect(await readFile(fileOf("codex-triage"), "utf8")).toContain("publish: [comment, check]");
  });

  it("says what it did as JSON", async () => {
    const { out } = await mayfly("task", "init", folder, "--task", "codex-review", "--json");
    expect(JSON.parse(out)).toMatchObject({
      tasks: [{ task: "codex-review", file: ".github/codex/labels/codex-review.md", isNew: true }],
    });
  });

  it("refuses a folder that is none, one that cannot be written, and a task that there is not", async () => {
    const none = join(folder, "none");
    await expect(mayfly("task", "init", none)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: `${none} is no folder: name the root of the repository`,
    });
    await writeFile(join(folder, ".github"), "");
    await expect(mayfly("task", "init", folder)).rejects.toMatchObject({ code: "INPUT_INVALID" });
    await expect(mayfly("task", "init", folder, "--task", "codex-sing")).rejects.toThrow(
      /codex-review, codex-fix, codex-triage/,
    );
  });
});

describe("mayfly task schema", () => {
  it("prints the schema", async () => {
    const { code, out } = await mayfly("task", "schema");
    expect([code, JSON.parse(out)]).toEqual([0, taskSchema]);
  });
});
