import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFolderArchive } from "./archive.ts";
import { makeFolder } from "./test-redis.fixture.ts";

let folder: string;

beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("the archive", () => {
  it("gives back what was stored, and null for what was not", async () => {
    const archive = createFolderArchive(`${folder}/archive`);
    expect(await archive.read("run_1.json")).toBeNull();
    await archive.ensureStored("run_1.json", "one");
    await archive.ensureStored("run_1.json", "two");
    expect(await archive.read("run_1.json")).toBe("two");
  });

  it.each(["", ".", "..", ".hidden", "../x", "a/b", "a\\b", "a\0b", "a\n", "-a", "a".repeat(129)])(
    "refuses the name %j",
    async (name) => {
      const archive = createFolderArchive(folder);
      await expect(archive.ensureStored(name, "x")).rejects.toMatchObject({ code: "INPUT_INVALID" });
      await expect(archive.read(name)).rejects.toMatchObject({ code: "INPUT_INVALID" });
      expect(await readdir(folder)).toEqual([]);
    },
  );

  it("is nobody else's to read", async () => {
    const archive = createFolderArchive(`${folder}/archive`);
    await archive.ensureStored("a", "x");
    expect((await stat(`${folder}/archive`)).mode & 0o777).toBe(0o700);
    expect((await stat(`${folder}/archive/a`)).mode & 0o777).toBe(0o600);
  });

  it("keeps what it had when a new text cannot be put in its place, and shows whole texts only", async () => {
    const archive = createFolderArchive(folder);
    await mkdir(`${folder}/taken`);
    await expect(archive.ensureStored("taken", "x")).rejects.toThrow("rename");
    expect((await stat(`${folder}/taken`)).isDirectory()).toBe(true);
    const texts = Array.from({ length: 4 }, (_, i) => `${i}`.repeat(2_000_000));
    await archive.ensureStored("a", texts[0] as string);
    const seen: (string | null)[] = [];
    for (const text of texts) {
      const [, read] = await Promise.all([archive.ensureStored("a", text), archive.read("a")]);
      seen.push(read);
    }
    expect(seen.every((text) => text !== null && texts.includes(text))).toBe(true);
  });

  it("takes the same name from two at once", async () => {
    const archive = createFolderArchive(folder);
    const texts = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(100_000));
    await Promise.all(texts.map((text) => archive.ensureStored("a", text)));
    expect(texts).toContain(await archive.read("a"));
    expect(await readdir(folder)).toEqual(["a"]);
  });
});
