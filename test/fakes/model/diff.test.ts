import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parseDiff } from "./diff.ts";
import type { Diff } from "./diff.ts";

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) {
    rmSync(folder, { recursive: true });
  }
});

/** What git itself prints for the change from one set of files to another; null stands for no file. */
function gitDiff(before: Record<string, string | Buffer>, after: Record<string, string | Buffer | null>): string {
  const folder = mkdtempSync(join(tmpdir(), "diff-"));
  folders.push(folder);
  const git = (...args: string[]): string =>
    execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@example.com", ...args], {
      cwd: folder,
      encoding: "utf8",
      env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" },
    });
  const write = (files: Record<string, string | Buffer | null>): void => {
    for (const [name, content] of Object.entries(files)) {
      if (content === null) {
        rmSync(join(folder, name));
      } else {
        writeFileSync(join(folder, name), content);
      }
    }
    git("add", "-A");
  };
  git("init", "-q");
  write(before);
  git("commit", "-q", "--allow-empty", "-m", "before");
  write(after);
  return git("diff", "--cached");
}

function numbered(diff: Diff): string[] {
  return diff.files.flatMap((file) =>
    file.hunks
      .flat()
      .flatMap(({ kind, line, text }) => (kind === "context" ? [] : [`${kind} ${file.path}:${line} ${text}`])),
  );
}

const twenty = Array.from({ length: 20 }, (_line, index) => `line ${index + 1}`);

describe("reading a diff of git", () => {
  it("numbers added lines as in the new file and removed ones as in the old, over several hunks", () => {
    const changed = ["new", ...twenty.slice(0, 9), "ten", ...twenty.slice(10, 18), "line 20"];
    const diff = parseDiff(gitDiff({ "a.txt": `${twenty.join("\n")}\n` }, { "a.txt": `${changed.join("\n")}\n` }));
    expect(numbered(diff)).toEqual([
      "added a.txt:1 new",
      "removed a.txt:10 line 10",
      "added a.txt:11 ten",
      "removed a.txt:19 line 19",
    ]);
    expect(diff.files[0]).toMatchObject({ change: "modified", added: 2, removed: 2 });
    expect(diff.isShortened).toBe(false);
  });

  it("knows added, deleted, renamed, empty and binary files", () => {
    const text = gitDiff(
      { "gone.txt": "a\n", "old.txt": `${twenty.join("\n")}\n` },
      {
        "gone.txt": null,
        "old.txt": null,
        "new.txt": `${twenty.join("\n")}\n`,
        empty: "",
        "b.bin": Buffer.of(0, 1, 2),
      },
    );
    const files = parseDiff(text).files.map(
      ({ path, change, isBinary }) => `${change} ${path}${isBinary ? " (binary)" : ""}`,
    );
    expect(files.toSorted()).toEqual(["added b.bin (binary)", "added empty", "deleted gone.txt", "renamed new.txt"]);
  });

  it("reads names with spaces, quotes and letters beyond ASCII", () => {
    const names = ["a b.txt", 'q"uote\\.txt', "näme.txt", "tab\there.txt"];
    const diff = parseDiff(gitDiff({}, Object.fromEntries(names.map((name) => [name, "x\n"]))));
    expect(diff.files.map(({ path }) => path).toSorted()).toEqual(names.toSorted());
  });

  it("reads the name of an empty file with special characters", () => {
    expect(parseDiff(gitDiff({}, { "ä ö": "" })).files[0]?.path).toBe("ä ö");
  });

  it("takes lines that look like headers for what they are", () => {
    const tricky = "-- a/other.txt\n++ b/other.txt\n@@ -1 +1 @@\ndiff --git a/x b/x\n";
    const diff = parseDiff(gitDiff({ "a.txt": "old\n" }, { "a.txt": tricky }));
    expect(diff.files.map(({ path, added, removed }) => [path, added, removed])).toEqual([["a.txt", 4, 1]]);
  });

  it("copes with a missing last newline", () => {
    const diff = parseDiff(gitDiff({ "a.txt": "one\ntwo" }, { "a.txt": "one\nthree" }));
    expect(numbered(diff)).toEqual(["removed a.txt:2 two", "added a.txt:2 three"]);
    expect(diff.isShortened).toBe(false);
  });
});

describe("reading what is no whole diff", () => {
  const whole = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,3 @@\n one\n+two\n three\n";

  it("finds nothing in other text", () => {
    expect(parseDiff("fatal: bad revision\n")).toEqual({ files: [], isShortened: false });
    expect(parseDiff("")).toEqual({ files: [], isShortened: false });
  });

  it("says when a hunk ends early", () => {
    expect(parseDiff(whole.slice(0, whole.indexOf(" three"))).isShortened).toBe(true);
    expect(parseDiff(whole).isShortened).toBe(false);
  });

  it("attributes nothing to a file whose header Codex has taken out", () => {
    const text = `Warning: truncated output (original token count: 9)\n\n${whole.replace(
      " three",
      "+three, which…500 tokens truncated…ends here\n@@ -7 +7,2 @@\n-lost\n+lost",
    )}diff --git a/b b/b\n--- a/b\n+++ b/b\n@@ -1 +1 @@\n-x\n+y\n`;
    const diff = parseDiff(text);
    expect(diff.isShortened).toBe(true);
    expect(numbered(diff)).toEqual(["added a:2 two", "removed b:1 x", "added b:1 y"]);
  });
});
