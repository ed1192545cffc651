import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestTerminal } from "../../../../test/support/test-terminal.ts";
import { createProgram } from "./program.ts";

let folder: string;

beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "mf-task-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

async function check(name: string, text: string, ...flags: string[]) {
  const file = join(folder, name);
  await writeFile(file, text);
  const { terminal, said } = createTestTerminal();
  return { file, code: await createProgram(terminal, ["task", "check", ...flags, file]), ...said() };
}

describe("mayfly task check", () => {
  it("calls a task file good that a run would take", async () => {
    const { file, code, out } = await check("review.md", "---\neffort: high\n---\nReview it.\n");
    expect({ code, out }).toEqual({ code: 0, out: `${file}: good\n` });
  });

  it("names file, line and column of every mistake and ends with 1", async () => {
    const { file, code, out } = await check("review.md", "---\neffort: high\nefort: low\ntimeout: 1 week\n---\nGo.\n");
    expect(code).toBe(1);
    expect(out).toContain(`${file}:3:1: `);
    expect(out).toContain(`${file}:4:1: `);
    expect(out).toContain("effort");
  });

  it("names a file that no label leads to", async () => {
    expect((await check("review.txt", "Go.\n")).out).toContain("does not end with .md");
    expect((await check("a..b.md", "Go.\n")).code).toBe(1);
  });

  it("refuses a file of one byte too many without reading the rest", async () => {
    expect((await check("big.md", "a".repeat(limits.taskBytesMax + 1))).out).toContain("bigger than");
    expect((await check("full.md", "a".repeat(limits.taskBytesMax))).code).toBe(0);
  });

  it("lets no name of a file write to the terminal or begin a line", async () => {
    const { out } = await check("re\u001b[2J\nview.md", "Go.\n");
    expect(out).not.toContain("\u001b");
    expect(out.trimEnd().split("\n")).toHaveLength(1);
  });

  it("prints one JSON document where asked", async () => {
    const { file, out } = await check("review.md", "---\nefort: high\n---\nGo.\n", "--json");
    expect(JSON.parse(out)).toMatchObject({ ok: false, files: [{ file, problems: [{ line: 2, column: 1 }] }] });
  });

  it("names at its line what the operator does not allow, only with --config", async () => {
    const config = join(folder, "mayfly.yaml");
    await writeFile(config, 'policy:\n  models: ["gpt-*"]\n  run_minutes_max: 10\n');
    const text = "---\nmodel: other\neffort: low\ntimeout: 30m\n---\nGo.\n";
    const { file, code, out } = await check("codex-review.md", text, "--config", config);
    expect(code).toBe(1);
    expect(out.trimEnd().split("\n")).toEqual([
      `${file}:2:1: model: other is not allowed here; allowed: gpt-*`,
      `${file}:4:1: timeout: 30m is not allowed here; allowed: up to 10m`,
    ]);
    expect((await check("codex-review.md", text)).code).toBe(0);
    expect((await check("review.md", "Go.\n", "--config", config)).out).toContain(
      'label: "review" is not allowed here',
    );
    expect((await check("codex-ok.md", "Go.\n", "--config", config)).code).toBe(0);
  });

  it("ends as for a mistake in what was typed when there is no such file", async () => {
    const { terminal } = createTestTerminal();
    const missing = createProgram(terminal, ["task", "check", join(folder, "none.md")]);
    await expect(missing).rejects.toMatchObject({ code: "INPUT_INVALID" });
  });
});
