import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { packCpio } from "./cpio.ts";

describe("packCpio", () => {
  let dir = "";
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "mayfly-cpio-"));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it("is unpacked by cpio as it was packed", async () => {
    const archive = packCpio([
      { path: "bin", type: "directory", mode: 0o755 },
      { path: "bin/tool", type: "file", mode: 0o755, data: Buffer.from("five!") },
      { path: "empty", type: "file", mode: 0o600, data: new Uint8Array() },
    ]);
    // busybox, which building an image brings, unpacks what the kernel unpacks.
    execFileSync("busybox", ["cpio", "-id"], { cwd: dir, input: archive, stdio: ["pipe", "ignore", "ignore"] });
    expect(await readFile(join(dir, "bin/tool"), "utf8")).toBe("five!");
    expect((await stat(join(dir, "bin/tool"))).mode & 0o777).toBe(0o755);
    expect((await stat(join(dir, "empty"))).size).toBe(0);
  });

  it("gives equal bytes for equal entries and other bytes for others", () => {
    const entry = { path: "a", type: "file", mode: 0o644, data: Buffer.from("1") } as const;
    expect(packCpio([entry])).toEqual(packCpio([entry]));
    expect(packCpio([entry])).not.toEqual(packCpio([{ ...entry, mode: 0o600 }]));
  });

  it("keeps every record on a boundary of four bytes", () => {
    for (const length of [0, 1, 2, 3, 4, 5]) {
      const data = Buffer.alloc(length, 1);
      expect(packCpio([{ path: "x".repeat(length + 1), type: "file", mode: 0o644, data }]).length % 4).toBe(0);
    }
  });
});
