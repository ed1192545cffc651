import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imagePrune, type ImagePruneFlags } from "./image-prune.ts";
import type { Terminal } from "./terminal.ts";

let cache = "";
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "mayfly-prune-"));
  for (const digit of ["1", "2"]) {
    const disk = join(cache, "disks", digit.repeat(64));
    await mkdir(disk, { recursive: true });
    await writeFile(join(disk, "disk.raw"), "disk");
    const at = new Date(Date.now() - Number(digit) * 24 * 60 * 60_000);
    await utimes(disk, at, at);
  }
});
afterEach(() => rm(cache, { recursive: true, force: true }));

async function prune(flags: ImagePruneFlags): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const terminal = {
    env: { HOME: "/nowhere", MAYFLY_CACHE_DIR: cache },
    stdout: (text: string) => void (out += text),
    stderr: (text: string) => void (err += text),
    isRoot: false,
  } as unknown as Terminal;
  return { code: await imagePrune(terminal, flags), out, err };
}

describe("mayfly image prune", () => {
  it("says what it removes, and removes it", async () => {
    const old = join(cache, "disks", "2".repeat(64));
    const asked = await prune({ keep: "1", dryRun: true });
    expect(asked).toMatchObject({ code: 0, out: `disk  ${old}\n`, err: expect.stringContaining("1 would be removed") });
    expect(await readdir(join(cache, "disks"))).toHaveLength(2);

    const { out } = await prune({ keep: "1", json: true });
    expect(JSON.parse(out)).toMatchObject({ dryRun: false, removed: [{ kind: "disk", path: old }] });
    expect(await readdir(join(cache, "disks"))).toEqual(["1".repeat(64)]);
  });

  it.each(["0", "-1", "1e9", "all", "", "10001"])("refuses to keep %j of each", async (keep) => {
    await expect(prune({ keep })).rejects.toThrow(/--keep/);
    expect(await readdir(join(cache, "disks"))).toHaveLength(2);
  });
});
