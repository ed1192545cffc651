import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cachePaths, readPointer, writePointer } from "./cache.ts";
import { pruneCache } from "./prune.ts";
import { markUsed } from "./uses.ts";

/** Above the largest process id that Linux gives. */
const DEAD_PID = 4_194_305;
const DAY_MS = 24 * 60 * 60_000;
const hexOf = (number: number): string => String(number).repeat(64);

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mayfly-prune-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** One used so many days ago. */
async function add(kind: "image" | "disk" | "layer", number: number, days = number): Promise<string> {
  const path = cachePaths(dir)[kind](hexOf(number));
  await mkdir(path, { recursive: true });
  await writeFile(join(path, "disk.raw"), Buffer.alloc(8_192, 1));
  const at = new Date(Date.now() - days * DAY_MS);
  await utimes(path, at, at);
  return path;
}

function prune(keep: number, dryRun = false) {
  return pruneCache({ cacheDir: dir, keep, dryRun, now: Date.now() });
}

async function left(folder: string): Promise<string[]> {
  return (await readdir(join(dir, folder))).map((name) => name.slice(0, 1)).toSorted();
}

describe("pruning a cache", () => {
  it("keeps the newest of each kind by last use, and says what went", async () => {
    for (const number of [1, 2, 3, 4, 5]) {
      await add("disk", number);
      await add("image", number);
    }
    const gone = await prune(3);
    expect([await left("disks"), await left("images")]).toEqual([
      ["1", "2", "3"],
      ["1", "2", "3"],
    ]);
    expect(gone.map(({ kind, bytes }) => [kind, bytes])).toEqual([
      ["image", 8_192],
      ["image", 8_192],
      ["disk", 8_192],
      ["disk", 8_192],
    ]);
    expect(await prune(3)).toEqual([]);
  });

  it("removes nothing when it is asked only what it would", async () => {
    await add("disk", 1);
    await add("disk", 2);
    expect(await prune(1, true)).toHaveLength(1);
    expect(await left("disks")).toEqual(["1", "2"]);
  });

  it("keeps what a living process uses, however old, and drops the mark of one that has ended", async () => {
    await add("image", 1);
    await add("image", 2);
    await add("image", 3);
    await markUsed(dir, "image", hexOf(3));
    const long = new Date(Date.now() - 9 * DAY_MS);
    await utimes(cachePaths(dir).image(hexOf(3)), long, long);
    await writeFile(join(cachePaths(dir).uses, `${hostname()}.${DEAD_PID}.image-${hexOf(2)}`), "");
    await prune(1);
    expect(await left("images")).toEqual(["1", "3"]);
    expect(await readdir(cachePaths(dir).uses)).toEqual([`${hostname()}.${process.pid}.image-${hexOf(3)}`]);
  });

  it("leaves no marks of processes that have ended, however often something is used", async () => {
    await add("image", 1);
    await mkdir(cachePaths(dir).uses);
    await writeFile(join(cachePaths(dir).uses, `${hostname()}.${DEAD_PID}.image-${hexOf(1)}`), "");
    await markUsed(dir, "image", hexOf(1));
    expect(await readdir(cachePaths(dir).uses)).toEqual([`${hostname()}.${process.pid}.image-${hexOf(1)}`]);
  });

  it("keeps what another host that shares the cache uses", async () => {
    await add("image", 1);
    await add("image", 2);
    await mkdir(cachePaths(dir).uses);
    await writeFile(join(cachePaths(dir).uses, `other.example.com.${DEAD_PID}.image-${hexOf(2)}`), "");
    await prune(1);
    expect(await left("images")).toEqual(["1", "2"]);
  });

  it("keeps what was used a moment ago", async () => {
    await add("disk", 1, 0);
    await add("disk", 2, 0);
    expect(await prune(1)).toEqual([]);
  });

  it("goes by use: what is asked for again is the newest", async () => {
    await add("layer", 1);
    await add("layer", 2);
    await markUsed(dir, "layer", hexOf(2));
    await rm(cachePaths(dir).uses, { recursive: true });
    await prune(1);
    expect(await left("layers")).toEqual(["2"]);
  });

  it("removes pointers to what is gone, and no others", async () => {
    await add("disk", 1);
    await add("disk", 2);
    const paths = cachePaths(dir);
    await writePointer(paths.pointer("disk", hexOf(8)), hexOf(1));
    await writePointer(paths.pointer("disk", hexOf(9)), hexOf(2));
    await prune(1);
    expect(await readPointer(paths.pointer("disk", hexOf(8)))).toBe(hexOf(1));
    expect(await readdir(join(dir, "pointers"))).toHaveLength(1);
  });

  it("leaves alone what is none of ours, and an empty cache", async () => {
    expect(await prune(1)).toEqual([]);
    await mkdir(join(dir, "images", "notes"), { recursive: true });
    await prune(1);
    expect(await readdir(join(dir, "images"))).toEqual(["notes"]);
  });
});
