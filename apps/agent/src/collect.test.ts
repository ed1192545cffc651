import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { limits } from "@mayfly/core/limits";
import type { Result } from "@mayfly/core/result";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fitResult, readDiff } from "./collect.ts";
import type { ProgramEnd } from "./confinement.ts";

const reader = fileURLToPath(new URL("./inside/read.ts", import.meta.url));
const BYTES_MAX = 1_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-read-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The reader as a process of its own, as it runs in a machine. */
function read(name: string): unknown {
  const args = ["--", reader, join(folder, name), String(BYTES_MAX)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8", timeout: 20_000 }));
}

describe("the reader of outputs", () => {
  it("brings back a file's text to the last byte", () => {
    writeFileSync(join(folder, "file"), "\uFEFFfour – é\n");
    expect(read("file")).toEqual({ state: "present", text: "\uFEFFfour – é\n" });
  });

  it("takes a file of exactly the most bytes, and none with one more", () => {
    writeFileSync(join(folder, "most"), "x".repeat(BYTES_MAX));
    writeFileSync(join(folder, "more"), "x".repeat(BYTES_MAX + 1));
    expect(read("most")).toMatchObject({ state: "present" });
    expect(read("more")).toEqual({ state: "withheld", why: "too_big" });
  });

  it("does not read a hundred megabytes to see that they are too many", () => {
    writeFileSync(join(folder, "huge"), "");
    truncateSync(join(folder, "huge"), 100 * 1024 * 1024);
    expect(read("huge")).toEqual({ state: "withheld", why: "too_big" });
  });

  it("follows no symbolic link", () => {
    writeFileSync(join(folder, "target"), "secret");
    symlinkSync(join(folder, "target"), join(folder, "link"));
    symlinkSync(join(folder, "nothing"), join(folder, "dangling"));
    expect(read("link")).toEqual({ state: "withheld", why: "not_a_regular_file" });
    expect(read("dangling")).toEqual({ state: "withheld", why: "not_a_regular_file" });
  });

  it("takes no file that has a second name", () => {
    writeFileSync(join(folder, "first"), "secret");
    linkSync(join(folder, "first"), join(folder, "second"));
    expect(read("second")).toEqual({ state: "withheld", why: "not_a_regular_file" });
  });

  it("does not wait for a FIFO", () => {
    execFileSync("mkfifo", [join(folder, "fifo")]);
    expect(read("fifo")).toEqual({ state: "withheld", why: "not_a_regular_file" });
  });

  it("takes no folder and no socket", async () => {
    mkdirSync(join(folder, "folder"));
    const server = createServer().listen(join(folder, "socket"));
    await once(server, "listening");
    expect(read("folder")).toEqual({ state: "withheld", why: "not_a_regular_file" });
    expect(read("socket")).toEqual({ state: "withheld", why: "not_a_regular_file" });
    server.close();
  });

  it("says when there is nothing", () => {
    writeFileSync(join(folder, "empty"), "");
    expect(read("missing")).toEqual({ state: "withheld", why: "absent" });
    expect(read("empty")).toEqual({ state: "withheld", why: "absent" });
    expect(read("empty/below")).toEqual({ state: "withheld", why: "absent" });
  });

  it("takes no text that is not UTF-8", () => {
    writeFileSync(join(folder, "latin1"), Buffer.from([0x61, 0xe9, 0x0a]));
    expect(read("latin1")).toEqual({ state: "withheld", why: "not_utf8" });
  });
});

describe("readDiff", () => {
  const end: ProgramEnd = { exitCode: 0, signal: null, stdout: Buffer.from("diff"), stderr: "", cut: null };

  it("takes a patch that came whole, an empty one too", () => {
    expect(readDiff(end)).toEqual({ state: "present", text: "diff" });
    expect(readDiff({ ...end, stdout: Buffer.alloc(0) })).toEqual({ state: "present", text: "" });
  });

  it("says why there is none", () => {
    expect(readDiff({ ...end, exitCode: null, cut: "size" })).toMatchObject({ why: "too_big" });
    expect(readDiff({ ...end, exitCode: null, cut: "time" })).toMatchObject({ why: "unreadable" });
    expect(readDiff({ ...end, exitCode: 128 })).toMatchObject({ why: "unreadable" });
    expect(readDiff({ ...end, stdout: Buffer.from([0xff]) })).toMatchObject({ why: "not_utf8" });
  });
});

describe("fitResult", () => {
  const result: Result = {
    codex: { version: "0", exit_code: 0, ended_by: "exit", error: null },
    final_message: { state: "present", text: "done" },
    structured: null,
    patch: { state: "present", text: "diff" },
    usage: null,
  };

  it("leaves a result that fits as it is", () => {
    expect(fitResult(result)).toEqual(result);
  });

  it("drops a patch that JSON makes too long, and keeps the message", () => {
    const patch = { state: "present", text: "\u0001".repeat(limits.patchBytesMax) } as const;
    expect(fitResult({ ...result, patch })).toEqual({ ...result, patch: { state: "withheld", why: "too_big" } });
  });
});
