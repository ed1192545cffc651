import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "@mayfly/core/limits";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseBatch, parseRaw, readChanges } from "./collect-changes.ts";
import type { ProgramEnd } from "./confinement.ts";

let folder: string;
let head: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-changes-"));
  git("init", "--quiet");
  writeFileSync(join(folder, "kept.txt"), "kept\n");
  writeFileSync(join(folder, "changed.txt"), "three\n");
  writeFileSync(join(folder, "gone.txt"), "gone\n");
  git("add", "--all");
  git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "first");
  head = git("rev-parse", "HEAD").trim();
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function git(...args: string[]): string {
  return execFileSync("git", ["-C", folder, ...args], { encoding: "utf8" });
}

/** Git as the collector has it run, but not confined. */
async function run(args: readonly string[], stdoutBytesMax: number, stdin = ""): Promise<ProgramEnd> {
  const end = spawnSync("git", ["-C", folder, ...args], { input: stdin, maxBuffer: Infinity });
  const isCut = end.stdout.length > stdoutBytesMax;
  return { exitCode: end.status, signal: null, stdout: end.stdout, stderr: "", cut: isCut ? "size" : null };
}

async function collect() {
  git("add", "--all");
  return readChanges(run, head);
}

describe("readChanges", () => {
  it("brings every changed file with what it was, its mode and its bytes", async () => {
    writeFileSync(join(folder, "changed.txt"), "four\r\n");
    writeFileSync(join(folder, "a new\nname"), Buffer.from([0, 0xff]));
    chmodSync(join(folder, "a new\nname"), 0o755);
    symlinkSync("kept.txt", join(folder, "link"));
    rmSync(join(folder, "gone.txt"));
    const content = (bytes: string | Buffer) => Buffer.from(bytes).toString("base64");
    expect(await collect()).toEqual({
      state: "present",
      files: [
        { path: "a new\nname", base: null, mode: "100755", content: content(Buffer.from([0, 0xff])) },
        {
          path: "changed.txt",
          base: git("rev-parse", `${head}:changed.txt`).trim(),
          mode: "100644",
          content: content("four\r\n"),
        },
        { path: "gone.txt", base: git("rev-parse", `${head}:gone.txt`).trim(), mode: null, content: null },
        { path: "link", base: null, mode: "120000", content: content("kept.txt") },
      ],
    });
  });

  it("brings nothing when nothing changed", async () => {
    expect(await collect()).toEqual({ state: "present", files: [] });
  });

  it("says when files or bytes are too many", async () => {
    writeFileSync(join(folder, "big"), "x".repeat(limits.patchFilesBytesMax + 1_000));
    expect(await collect()).toEqual({ state: "withheld", why: "too_big" });
    rmSync(join(folder, "big"));
    mkdirSync(join(folder, "many"));
    for (let index = 0; index <= limits.patchFilesMax; index++) {
      writeFileSync(join(folder, "many", String(index)), "x");
    }
    expect(await collect()).toEqual({ state: "withheld", why: "too_big" });
  });

  it("says when a name is not UTF-8, and when git fails", async () => {
    writeFileSync(Buffer.concat([Buffer.from(join(folder, "x")), Buffer.from([0xe9])]), "x");
    expect(await collect()).toEqual({ state: "withheld", why: "not_utf8" });
    expect(await readChanges(run, "0".repeat(40))).toEqual({ state: "withheld", why: "unreadable" });
  });
});

describe("what git says", () => {
  const blob = "a".repeat(40);

  it("is not taken in another form", () => {
    expect(parseRaw(Buffer.from("nonsense"))).toBeNull();
    expect(parseRaw(Buffer.from(`:100644 100644 ${blob} ${blob} M\0path`))).toBeNull();
    expect(parseRaw(Buffer.from(`100644 ${blob}\0path\0`))).toBeNull();
  });

  it("is not taken where a blob is missing, another one, shorter or longer", () => {
    expect(parseBatch(Buffer.from(`${blob} blob 2\nhi\n`), [blob])).toEqual([Buffer.from("hi")]);
    for (const said of ["missing", "tree 2\nhi\n", "blob 3\nhi\n", "blob 1\nhi\n", "blob 2\nhi\nmore"]) {
      expect(parseBatch(Buffer.from(`${blob} ${said}`), [blob])).toBeNull();
    }
    expect(parseBatch(Buffer.from(`${"b".repeat(40)} blob 2\nhi\n`), [blob])).toBeNull();
  });
});
