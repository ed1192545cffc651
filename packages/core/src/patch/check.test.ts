import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Change } from "./change.ts";
import { checkPatch, type PatchBase } from "./check.ts";

const OLD = "one\ntwo\nthree\n";
const repository: Readonly<Record<string, { mode: string; text: string }>> = {
  "README.md": { mode: "100644", text: OLD },
  "src/Main.ts": { mode: "100644", text: OLD },
  "src/été.ts": { mode: "100644", text: OLD },
  "bin/run": { mode: "100755", text: OLD },
  link: { mode: "120000", text: "README.md" },
  module: { mode: "160000", text: "" },
  "picture.png": { mode: "100644", text: "\u0000PNG" },
  "large.bin": { mode: "100644", text: "version https://git-lfs.github.com/spec/v1\noid sha256:0\n" },
  ".github/workflows/ci.yml": { mode: "100644", text: OLD },
  "package.json": { mode: "100644", text: OLD },
};

const shaOf = (text: string) => createHash("sha1").update(text).digest("hex");
const base: PatchBase = {
  entries: new Map(Object.entries(repository).map(([path, { mode, text }]) => [path, { mode, sha: shaOf(text) }])),
  blobs: new Map(Object.values(repository).map(({ text }) => [shaOf(text), new TextEncoder().encode(text)])),
};

/** A file as an honest agent sends it. */
function change(path: string, text: string | Buffer | null, other: Partial<Change> = {}): Change {
  const known = repository[path];
  return {
    path,
    base: known === undefined ? null : shaOf(known.text),
    mode: text === null ? null : (known?.mode ?? "100644"),
    content: text === null ? null : Buffer.from(text).toString("base64"),
    ...other,
  };
}

function codeOf(changes: readonly Change[], allowed: readonly string[] = []): string {
  const check = checkPatch(changes, base, allowed);
  return check.ok ? "ok" : check.code;
}

describe("a patch that keeps the rules", () => {
  it("is accepted with its files and what changed in them", () => {
    const check = checkPatch(
      [change("README.md", "one\n2\nthree\nfour\n"), change("src/new.ts", "a\n"), change("bin/run", null)],
      base,
      [],
    );
    expect(check).toMatchObject({ ok: true, added: 3, removed: 4 });
    expect(check.ok && check.files.map(({ path, mode, isNew, bytes }) => [path, mode, isNew, bytes?.length])).toEqual([
      ["README.md", "100644", false, 17],
      ["src/new.ts", "100644", true, 2],
      ["bin/run", "100755", false, undefined],
    ]);
  });

  it("has the exact bytes that were sent, whatever ends its lines", () => {
    const text = "one\r\ntwo\r\nthree";
    const check = checkPatch([change("README.md", text)], base, []);
    expect(check.ok && Buffer.from(check.files[0]?.bytes ?? []).toString()).toBe(text);
    expect(check).toMatchObject({ added: 3, removed: 3 });
  });

  it("leaves out what changes nothing", () => {
    expect(checkPatch([change("README.md", OLD)], base, [])).toEqual({ ok: true, files: [], added: 0, removed: 0 });
  });

  it.each([
    "a/b c.txt",
    "src/ünïcode.ts",
    "docs/日本語.md",
    ".gitignore",
    "src/.hidden",
    "a'b\"c",
    "x~y",
    "ci/notes.md",
  ])("may have the path %s", (path) => {
    expect(codeOf([change(path, "x\n")])).toBe("ok");
  });
});

describe("a path that is refused", () => {
  it.each([
    ["empty", ""],
    ["absolute", "/etc/passwd"],
    ["upwards", "../up"],
    ["upwards in between", "src/../../up"],
    ["a dot", "./README.md"],
    ["an empty part", "src//a"],
    ["a slash at the end", "src/a/"],
    ["git's folder", ".git/hooks/post-checkout"],
    ["git's folder in capitals", "src/.GIT/config"],
    ["git's folder with an ignorable character (HFS+)", ".g\u200Cit/config"],
    ["git's folder in wide letters", ".ｇｉｔ/config"],
    ["git's folder with a Turkish letter", ".gıt\u200D/config"],
    ["git's short name", "git~1/config"],
    ["a short name of .gitmodules", "GI7EBA~1"],
    ["a stream", ".git::$INDEX_ALLOCATION/config"],
    ["a stream of a file", "a.txt:hidden"],
    ["a backslash", "src\\a"],
    ["git's folder with a dot after it", ".git./config"],
    ["git's folder with a space after it", ".git /config"],
    ["a line feed", "a\nb"],
    ["an escape", "a\u001b[31m"],
    ["a character that turns the line", "a\u202Etxt.exe"],
    ["half a character", "a\ud800"],
    ["decomposed", "src/e\u0301te.ts"],
    ["a part too long", "x".repeat(256)],
    ["too long", `${"a/".repeat(2_050)}a`],
    ["another case of a file", "readme.md"],
    ["another case of a folder", "SRC/new.ts"],
    ["a compatible spelling of a file", "ＲＥＡＤＭＥ.md"],
    ["below a file", "README.md/a"],
    ["below a link", "link/a"],
    ["below a submodule", "module/a"],
    ["a folder's place", "src"],
  ])("is one that is %s", (_name, path) => {
    expect(codeOf([change(path, "x\n")])).toBe("E_PATH");
  });

  it("is one of two that are the same on some file systems", () => {
    expect(codeOf([change("a/New.ts", "x"), change("A/new.ts", "y")])).toBe("E_PATH");
    expect(codeOf([change("a", "x"), change("a/b", "y")])).toBe("E_PATH");
    expect(codeOf([change("a/b", "y"), change("a", "x")])).toBe("E_PATH");
  });

  it("is a file renamed only in its letters", () => {
    expect(codeOf([change("README.md", null), change("Readme.md", OLD)])).toBe("E_PATH");
  });

  it("is a quoted one, which does not become the path that it quotes", () => {
    expect(codeOf([change('".github/workflows/x.yml"', "x")])).not.toBe("E_PROTECTED");
    expect(codeOf([change('"a\\057b"', "x")])).toBe("E_PATH");
  });
});

describe("a protected path", () => {
  it.each([
    ".github/workflows/new.yml",
    ".GitHub/Workflows/new.yml",
    ".github/CODEOWNERS",
    ".github/codex/labels/codex-review.md",
    "CODEOWNERS",
    "docs/AGENTS.md",
    "agents.MD",
    ".codex/config.toml",
    "action.yml",
    "Dockerfile.prod",
    "Makefile",
    "ci/build.sh",
    ".ci/deep/x.sh",
    ".npmrc",
    "sub/package.json",
    "package-lock.json",
    "pyproject.toml",
    "tests/conftest.py",
    "build.rs",
    "Cargo.toml",
    "go.mod",
    ".gitattributes",
    ".gitmodules",
    ".pre-commit-config.yaml",
    ".envrc",
    ".vscode/tasks.json",
    "sub/.idea/a.xml",
    ".devcontainer/devcontainer.json",
    ".husky/pre-commit",
  ])("%s is not written", (path) => {
    expect(codeOf([change(path, "x\n")])).toBe("E_PROTECTED");
  });

  it("is not deleted, and nothing is renamed into one or out of one", () => {
    expect(codeOf([change(".github/workflows/ci.yml", null)])).toBe("E_PROTECTED");
    expect(codeOf([change("README.md", null), change(".github/workflows/b.yml", OLD)])).toBe("E_PROTECTED");
    expect(codeOf([change("package.json", null), change("other.json", OLD)])).toBe("E_PROTECTED");
  });

  it("may be written where the operator gives it free, workflows never", () => {
    expect(codeOf([change("package.json", "x\n")], ["package.json"])).toBe("ok");
    expect(codeOf([change("sub/package.json", "x\n")], ["package.json"])).toBe("E_PROTECTED");
    for (const allowed of [[".github/workflows/*"], ["*"], [".github/*/*", ".github/workflows/ci.yml"]]) {
      expect(codeOf([change(".github/workflows/ci.yml", "x\n")], allowed)).toBe("E_PROTECTED");
      expect(codeOf([change(".github/WORKFLOWS/x.yml", "x\n")], allowed)).toBe("E_PROTECTED");
    }
  });
});

describe("an entry that is no plain file", () => {
  it.each([
    ["a new link", change("a", "README.md", { mode: "120000" })],
    ["a file that becomes a link", change("README.md", "x", { mode: "120000" })],
    ["a link that changes", change("link", "elsewhere")],
    ["a link that becomes a file", change("link", "x", { mode: "100644" })],
    ["a link that goes", change("link", null)],
    ["a new submodule", change("a", null, { mode: "160000" })],
    ["a submodule that moves", change("module", null, { mode: "160000" })],
    ["a new executable", change("a", "x", { mode: "100755" })],
    ["a file that becomes executable", change("README.md", "x", { mode: "100755" })],
    ["a file that is executable no longer", change("bin/run", "x", { mode: "100644" })],
    ["a folder", change("a", null, { mode: "040000" })],
    ["a binary file", change("a", "x\u0000y")],
    ["a binary file that becomes text", change("picture.png", "x")],
    ["text that is not UTF-8", change("a", Buffer.from([0x61, 0xe9]))],
    ["a pointer to a large file", change("a", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")],
    ["a pointer that changes", change("large.bin", "x")],
  ])("is refused: %s", (_name, bad) => {
    expect(codeOf([change("src/fine.ts", "x"), bad])).toBe("E_MODE");
  });
});

describe("what the machine says it started from", () => {
  it.each([
    ["a file that is there is no new file", change("README.md", "x", { base: null })],
    ["another blob", change("README.md", "x", { base: shaOf("other") })],
    ["a blob of another file", change("README.md", "x", { base: shaOf("README.md") })],
    ["a file that is not there", change("nothing.md", "x", { base: shaOf(OLD) })],
    ["the deletion of a file that is not there", change("nothing.md", null, { base: shaOf(OLD) })],
  ])("is not believed: %s", (_name, bad) => {
    expect(codeOf([bad])).toBe("E_BASE");
  });
});

describe("a frame that does not hold together", () => {
  it.each([
    ["a path twice", [change("a", "x"), change("a", "y")]],
    ["a deletion with bytes", [change("README.md", null, { content: "eA==" })]],
    ["a file without bytes", [change("a", "x", { content: null })]],
    ["the deletion of a new file", [change("a", null)]],
    ["no base64", [change("a", "x", { content: "e A==" })]],
    ["loose base64", [change("a", "x", { content: "eB==" })]],
  ])("is refused: %s", (_name, changes) => {
    expect(codeOf(changes)).toBe("E_FRAME");
  });
});

describe("sizes", () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => change(`a/${index}`, "x\n"));

  it("are a hundred files at most", () => {
    expect(codeOf(many(100))).toBe("ok");
    expect(codeOf(many(101))).toBe("E_SIZE");
  });

  it("are fifty deletions at most", () => {
    const entries = new Map(
      Array.from({ length: 51 }, (_, index) => [`d/${index}`, { mode: "100644", sha: shaOf(OLD) }]),
    );
    const gone = [...entries.keys()].map((path) => change(path, null, { base: shaOf(OLD) }));
    const at = (changes: readonly Change[]) => checkPatch(changes, { ...base, entries }, []);
    expect(at(gone.slice(1))).toMatchObject({ ok: true, removed: 150 });
    expect(at(gone)).toMatchObject({ ok: false, code: "E_SIZE" });
  });

  it("are four thousand changed lines at most", () => {
    expect(codeOf([change("a", "x\n".repeat(4_000))])).toBe("ok");
    expect(codeOf([change("a", "x\n".repeat(4_001))])).toBe("E_SIZE");
  });

  it("are a mebibyte a file at most, and four in all", () => {
    const file = (path: string, bytes: number) => change(path, "x".repeat(bytes));
    const MIB = 1024 * 1024;
    expect(codeOf([file("a", MIB)])).toBe("ok");
    expect(codeOf([file("a", MIB + 1)])).toBe("E_SIZE");
    expect(codeOf(["a", "b", "c", "d"].map((path) => file(path, MIB)))).toBe("ok");
    expect(codeOf(["a", "b", "c", "d"].map((path) => file(path, MIB)).concat(file("e", 1)))).toBe("E_SIZE");
  });

  it("refuse a file whose present bytes were too big to be fetched", () => {
    expect(checkPatch([change("README.md", "x")], { ...base, blobs: new Map() }, [])).toMatchObject({ code: "E_SIZE" });
  });
});
