import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const programs = ["bench", "attack", "demo"].map((name) => [
  name,
  fileURLToPath(new URL(`../${name}/main.ts`, import.meta.url)),
]);

describe("a program whose reader has left", () => {
  it.each(programs)("ends in order: %s", async (_name, program = "") => {
    const child = spawn(process.execPath, [program, "--help"], { stdio: ["ignore", "pipe", "pipe"] });
    // Closed before the program has begun to write.
    child.stdout.destroy();
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const [code] = (await once(child, "close")) as [number | null];
    expect([code, said]).toEqual([0, ""]);
  });
});
