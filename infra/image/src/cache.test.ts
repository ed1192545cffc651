import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import {
  cachePaths,
  defaultCacheDir,
  makeWorkDir,
  publishDir,
  readPointer,
  sweepWorkDirs,
  writePointer,
} from "./cache.ts";

/** Above the largest process id that Linux gives. */
const DEAD_PID = 4_194_305;
const target = "a".repeat(64);

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mayfly-cache-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe("defaultCacheDir", () => {
  it.each([
    [{ uid: 0, home: "/root", xdgCacheHome: "/x" }, "/var/cache/mayfly"],
    [{ uid: 1000, home: "/home/a", xdgCacheHome: "/x" }, "/x/mayfly"],
    [{ uid: 1000, home: "/home/a", xdgCacheHome: "relative" }, "/home/a/.cache/mayfly"],
    [{ uid: 1000, home: "/home/a" }, "/home/a/.cache/mayfly"],
  ])("of %j is %s", (options, expected) => {
    expect(defaultCacheDir(options)).toBe(expected);
  });
});

describe("pointers", () => {
  it("give back their newest target", async () => {
    const path = cachePaths(dir).pointer("image", "b".repeat(64));
    expect(await readPointer(path)).toBeNull();
    await writePointer(path, "c".repeat(64));
    await writePointer(path, target);
    expect(await readPointer(path)).toBe(target);
    expect(await readdir(join(dir, "pointers"))).toHaveLength(1);
  });

  it("with anything but a key in them point nowhere", async () => {
    await writeFile(join(dir, "p"), "../../etc\n");
    expect(await readPointer(join(dir, "p"))).toBeNull();
  });
});

describe("sweepWorkDirs", () => {
  it("removes what ended processes left and keeps what live ones use", async () => {
    const mine = await makeWorkDir(dir);
    const { work } = cachePaths(dir);
    await mkdir(join(work, `${hostname()}.${DEAD_PID}.0a/deep`), { recursive: true });
    await sweepWorkDirs(dir, Date.now());
    expect((await readdir(work)).map((name) => join(work, name))).toEqual([mine]);
  });

  it("leaves another host's build alone for a day", async () => {
    const { work } = cachePaths(dir);
    const [fresh, old] = ["elsewhere.1.0a", "elsewhere.2.0b"];
    await mkdir(join(work, fresh), { recursive: true });
    await mkdir(join(work, old));
    const now = Date.now();
    await utimes(join(work, old), new Date(now), new Date(now - 25 * 60 * 60_000));
    await sweepWorkDirs(dir, now);
    expect(await readdir(work)).toEqual([fresh]);
  });
});

describe("publishDir", () => {
  async function folder(name: string, text: string): Promise<string> {
    await mkdir(join(dir, name));
    await writeFile(join(dir, name, "file"), text);
    return join(dir, name);
  }
  const isGood = async (place: string) => (await readFile(join(place, "file"), "utf8")) === "good";

  it("moves a folder into place, readable by everyone", async () => {
    const from = await folder("from", "good");
    const to = join(dir, "a/b/to");
    await publishDir({ from, to, isGood });
    expect(await isGood(to)).toBe(true);
    expect((await stat(join(dir, "a/b"))).mode & 0o777).toBe(0o755);
    await expect(stat(from)).rejects.toThrow("ENOENT");
  });

  it("keeps what a faster build put there", async () => {
    const to = await folder("to", "good");
    const before = await stat(to);
    await publishDir({ from: await folder("from", "good"), to, isGood });
    expect((await stat(to)).ino).toBe(before.ino);
  });

  it("replaces what is damaged", async () => {
    const to = await folder("to", "damaged");
    await publishDir({ from: await folder("from", "good"), to, isGood });
    expect(await isGood(to)).toBe(true);
  });
});
