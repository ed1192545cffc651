import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestTerminal } from "../../../../test/support/test-terminal.ts";
import { createProgram } from "./program.ts";

let folder: string;

beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "mf-task-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

async function explain(text: string, flags: readonly string[] = [], env: Record<string, string> = {}) {
  const file = join(folder, "codex-review.md");
  await writeFile(file, text);
  const { terminal, said } = createTestTerminal({ env: { HOME: "/nowhere", ...env } });
  return { file, code: await createProgram(terminal, ["task", "explain", ...flags, file]), ...said() };
}

describe("mayfly task explain", () => {
  it("shows options with their sources and the prompt, marked as an example", async () => {
    const { code, out } = await explain("---\neffort: high\n---\nReview {{ head }}.\n");
    expect(code).toBe(0);
    expect(out).toContain("effort: high (the task file, line 2)");
    expect(out).toContain("for an example pull request, which is made up:");
    expect(out).toContain(`Review ${"1".repeat(40)}.`);
  });

  it("ends with 1 and says what the settings file and the environment refuse", async () => {
    const config = join(folder, "mayfly.yaml");
    await writeFile(config, "policy:\n  run_minutes_max: 10\n");
    const text = "---\ntimeout: 30m\nsafety-strategy: drop-sudo\n---\nGo.\n";
    const strategies = { MAYFLY_SAFETY_STRATEGIES: "read-only,unprivileged-user" };
    const { code, out } = await explain(text, ["--config", config], strategies);
    expect(code).toBe(1);
    expect(out).toContain("timeout: 30m is not allowed here; allowed: up to 10m");
    expect(out).toContain("safety-strategy: drop-sudo is not allowed here; allowed: read-only, unprivileged-user");
  });

  it("takes another label, and prints one JSON document where asked", async () => {
    const { code, out } = await explain("Go.\n", ["--label", "review", "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      label: "review",
      refusals: ['label: "review" is not allowed here; allowed: codex-*'],
    });
  });

  it("shows how a long value begins, and all of it as JSON", async () => {
    const review = "---\npublish: [review, check]\n---\nGo.\n";
    expect((await explain(review)).out).toMatch(
      /output-schema: \{"type".{100,160}… \(\d{4} characters; --json prints all\)/,
    );
    expect((await explain(review, ["--json"])).out).toContain("The new text of exactly these lines");
  });

  it("lets no prompt write to the terminal", async () => {
    expect((await explain("Go \u001b[2J on.\n")).out).not.toContain("\u001b");
  });

  it("ends as for a mistake in what was typed when there is no such file", async () => {
    const { terminal } = createTestTerminal();
    const missing = createProgram(terminal, ["task", "explain", join(folder, "none.md")]);
    await expect(missing).rejects.toMatchObject({ code: "INPUT_INVALID" });
  });
});
