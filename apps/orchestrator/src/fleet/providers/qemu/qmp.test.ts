import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withQmp } from "./qmp.ts";

const TRY_AGAIN_MS = 10;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-qmp-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe("withQmp", () => {
  it("passes over greeting, events and noise, and gives back what was answered", async () => {
    dial((command) => [
      "not json",
      JSON.stringify({ event: "STOP", data: {} }),
      JSON.stringify({ return: { asked: command } }),
    ]);
    const answer = await withQmp({ folder, signal: soon() }, (execute) => execute("query-status"));
    expect(answer).toEqual({ asked: "query-status" });
    expect(await readdir(folder)).toEqual([]);
  });

  it("throws what QEMU refused", async () => {
    dial((command) => [
      JSON.stringify(command === "qmp_capabilities" ? { return: {} } : { error: { class: "E", desc: "no such file" } }),
    ]);
    await expect(withQmp({ folder, signal: soon() }, (execute) => execute("dump"))).rejects.toThrow("no such file");
  });

  it("hangs up on an answer without an end", async () => {
    dial(() => ["x".repeat(100_000)]);
    await expect(withQmp({ folder, signal: soon() }, (execute) => execute("query-status"))).rejects.toThrow("hung up");
  });

  it.each([
    ["says its answer twice", '{"return":{"asked":"one"},"return":{"asked":"two"}}'],
    ["nests without an end", `{"return":${"[".repeat(5_000)}${"]".repeat(5_000)}}`],
    ["has more values than any answer", `{"return":[${"0,".repeat(10_000)}0]}`],
  ])("passes over a line that %s", async (_what, line) => {
    dial((command) => (command === "qmp_capabilities" ? ['{"return":{}}'] : [line, '{"return":{"asked":"this"}}']));
    const answer = await withQmp({ folder, signal: soon() }, (execute) => execute("query-status"));
    expect(answer).toEqual({ asked: "this" });
  });

  it("stops waiting for a QEMU that never comes", async () => {
    const signal = AbortSignal.timeout(50);
    await expect(withQmp({ folder, signal }, (execute) => execute("query-status"))).rejects.toThrow("aborted");
    expect(await readdir(folder)).toEqual([]);
  });
});

function soon(): AbortSignal {
  return AbortSignal.timeout(10_000);
}

/** Dials the socket as QEMU does, again and again until somebody listens, and answers each command with these lines. */
function dial(answer: (command: string) => string[]): void {
  const socket = connect(join(folder, "qmp.sock"));
  socket.on("error", () => setTimeout(() => dial(answer), TRY_AGAIN_MS));
  socket.once("connect", () => {
    socket.removeAllListeners("error").on("error", () => socket.destroy());
    socket.write(`${JSON.stringify({ QMP: { version: {} } })}\n`);
    createInterface({ input: socket }).on("line", (line) => {
      const { execute } = JSON.parse(line) as { execute: string };
      socket.write(`${answer(execute).join("\n")}\n`);
    });
  });
}
