import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { becomeServiceUser } from "../../../../test/support/become-service-user.ts";
import { snapshotFolder, type FolderRequest, type FolderSnapshot } from "./local-folder.ts";
import { git, unpack } from "./testing/repository.ts";

let top: string;
let folder: string;
let packs: string;

beforeAll(async () => {
  // Root can read everything, so nothing would be unreadable.
  await becomeServiceUser();
});

beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), "mayfly-folder-"));
  folder = join(top, "project");
  packs = join(top, "state", "packs");
  await mkdir(folder);
});

afterEach(async () => {
  await rm(top, { recursive: true, force: true });
});

async function snapshot(path = folder, changes: Partial<FolderRequest> = {}): Promise<FolderSnapshot> {
  return snapshotFolder({ path, packFile: join(packs, "one.pack"), ...changes });
}

async function unpacked(taken: FolderSnapshot): Promise<string> {
  const machine = await mkdtemp(join(top, "machine-"));
  await unpack(machine, await readFile(taken.packFile), taken.layout);
  expect(await git(machine, ["fsck", "--full", "--strict"])).toBe("");
  return machine;
}

async function put(files: Readonly<Record<string, string>>, root = folder): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(root, name, ".."), { recursive: true });
    await writeFile(join(root, name), content);
  }
}

async function commitAll(root = folder): Promise<string> {
  await git(root, ["init", "--quiet", "--template="]);
  await git(root, ["add", "--all"]);
  await git(root, ["commit", "--quiet", "--message", "all"]);
  return git(root, ["rev-parse", "HEAD"]);
}

/** Every name below a folder with its bytes and times. */
async function everything(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  return Promise.all(
    names.toSorted().map(async (name) => {
      const found = await stat(join(root, name)).catch(() => null);
      const bytes = found?.isFile() ? await readFile(join(root, name), "base64").catch(() => "unreadable") : "";
      return `${name} ${found?.mode} ${found?.mtimeMs} ${bytes}`;
    }),
  );
}

describe("a folder that is no repository", () => {
  it("becomes one commit without a base", async () => {
    await put({ "a.txt": "a", "deep/er/b.txt": "b" });
    await symlink("../outside", join(folder, "link"));
    await chmod(join(folder, "a.txt"), 0o755);
    const taken = await snapshot();
    expect(taken).toMatchObject({ layout: { base: null, merge_base: null, shallow: [] }, changedFiles: 3 });
    const machine = await unpacked(taken);
    expect(await readFile(join(machine, "deep/er/b.txt"), "utf8")).toBe("b");
    expect(await readlink(join(machine, "link"))).toBe("../outside");
    expect((await stat(join(machine, "a.txt"))).mode & 0o111).toBe(0o111);
  });

  it("leaves out what .gitignore names", async () => {
    await put({ ".gitignore": "*.log\nbuild/\n", "a.log": "", "build/x": "", "keep.txt": "" });
    const machine = await unpacked(await snapshot());
    expect((await readdir(machine)).toSorted()).toEqual([".git", ".gitignore", "keep.txt"]);
  });

  it("may be empty", async () => {
    const taken = await snapshot();
    expect(taken.changedFiles).toBe(0);
    expect(await readdir(await unpacked(taken))).toEqual([".git"]);
  });

  it("gives the same commit each time", async () => {
    await put({ "a.txt": "a" });
    const one = await snapshot();
    const other = await snapshot(folder, { packFile: join(packs, "other.pack") });
    expect(other.layout.head).toBe(one.layout.head);
  });

  it("takes names that are not UTF-8 or look like options", async () => {
    await writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0x66])]), "bytes");
    await put({ "--upload-pack=x": "1", ":(glob)*": "2", "new\nline": "3" });
    expect((await snapshot()).changedFiles).toBe(4);
  });

  it("names the repositories inside it, whose files it leaves out", async () => {
    await put({ "a.txt": "a", "inner/b.txt": "b" });
    await commitAll(join(folder, "inner"));
    const taken = await snapshot();
    expect(taken.nestedRepositories).toEqual(["inner/"]);
    expect(taken.changedFiles).toBe(1);
  });
});

describe("a folder in a work tree", () => {
  it("shows the uncommitted work as the difference of head and base", async () => {
    await put({
      "same.txt": "s",
      "changed.txt": "old",
      "gone.txt": "g",
      "file-to-folder": "f",
      "folder-to-file/x": "x",
    });
    const committed = await commitAll();
    await put({ "changed.txt": "new", "added.txt": "a" });
    await rm(join(folder, "gone.txt"));
    await rm(join(folder, "file-to-folder"));
    await put({ "file-to-folder/y": "y" });
    await rm(join(folder, "folder-to-file"), { recursive: true });
    await put({ "folder-to-file": "z" });
    const taken = await snapshot();
    const machine = await unpacked(taken);
    const difference = await git(machine, ["diff", "--name-status", "--no-renames", "refs/mayfly/base...HEAD"]);
    expect(difference.split("\n")).toEqual([
      "A\tadded.txt",
      "M\tchanged.txt",
      "D\tfile-to-folder",
      "A\tfile-to-folder/y",
      "A\tfolder-to-file",
      "D\tfolder-to-file/x",
      "D\tgone.txt",
    ]);
    expect(taken.changedFiles).toBe(7);
    expect(await git(machine, ["rev-parse", "refs/mayfly/base^{tree}"])).toBe(
      await git(folder, ["rev-parse", `${committed}^{tree}`]),
    );
    expect(await git(machine, ["rev-list", "--count", "HEAD"])).toBe("2");
    expect(taken.layout.merge_base).toBe(taken.layout.base);
  });

  it("keeps a tracked file that is ignored, and the person's own ignored files out", async () => {
    await put({ "tracked.log": "t" });
    await commitAll();
    await put({ ".gitignore": "*.log\n", "new.log": "n", "mine.tmp": "m" });
    await mkdir(join(folder, ".git", "info"), { recursive: true });
    await writeFile(join(folder, ".git", "info", "exclude"), "*.tmp\n");
    const machine = await unpacked(await snapshot());
    expect((await readdir(machine)).toSorted()).toEqual([".git", ".gitignore", "tracked.log"]);
  });

  it("takes a folder inside the work tree alone, by the ignore rules above it", async () => {
    await put({ ".gitignore": "*.log\n", "top.txt": "t", "sub/a.txt": "a" });
    await commitAll();
    await put({ "top.txt": "changed", "sub/a.txt": "changed", "sub/b.log": "ignored", "sub/c.txt": "new" });
    const taken = await snapshot(join(folder, "sub"));
    const machine = await unpacked(taken);
    expect((await readdir(machine)).toSorted()).toEqual([".git", "a.txt", "c.txt"]);
    expect(await git(machine, ["diff", "--name-status", "refs/mayfly/base...HEAD"])).toBe("M\ta.txt\nA\tc.txt");
  });

  it("takes a folder inside the work tree that was never committed", async () => {
    await put({ "top.txt": "t" });
    await commitAll();
    await put({ "sub/new.txt": "n" });
    const machine = await unpacked(await snapshot(join(folder, "sub")));
    expect(await git(machine, ["diff", "--name-status", "refs/mayfly/base...HEAD"])).toBe("A\tnew.txt");
  });

  it("has no base before the first commit", async () => {
    await git(folder, ["init", "--quiet", "--template="]);
    await put({ "a.txt": "a" });
    expect(await snapshot()).toMatchObject({ layout: { base: null }, changedFiles: 1 });
  });

  it("reads a linked work tree, a path with a colon and packed objects", async () => {
    await put({ "a.txt": "a" });
    await commitAll();
    await git(folder, ["gc", "--quiet"]);
    await rename(folder, join(top, "with:colon"));
    await git(join(top, "with:colon"), ["worktree", "add", "--quiet", join(top, "linked")]);
    await put({ "a.txt": "changed" }, join(top, "linked"));
    const machine = await unpacked(await snapshot(join(top, "linked")));
    expect(await git(machine, ["diff", "--name-status", "refs/mayfly/base...HEAD"])).toBe("M\ta.txt");
  });

  it("runs nothing that the folder names, and leaves everything in it as it was", async () => {
    const sentinel = join(top, "sentinel");
    const trap = `touch ${sentinel}`;
    await put({
      "a.txt": "a",
      ".gitattributes": "* filter=trap diff=trap merge=trap\n",
      ".gitmodules": `[submodule "x"]\n\tpath = inner\n\turl = ext::sh -c ${trap.replaceAll(" ", "% ")}\n\tupdate = !${trap}\n`,
      "inner/b.txt": "b",
      "bare/HEAD": "ref: refs/heads/main\n",
      "bare/config": `[core]\n\tbare = true\n\tfsmonitor = ${trap}\n`,
      "bare/objects/x": "",
      "bare/refs/x": "",
    });
    const traps: [string, string][] = [
      ["core.fsmonitor", trap],
      ["core.hooksPath", join(folder, ".git", "traps")],
      ["core.pager", trap],
      ["filter.trap.clean", trap],
      ["filter.trap.process", trap],
      ["diff.trap.textconv", trap],
      ["diff.external", trap],
      ["core.sshCommand", trap],
      ["core.alternateRefsCommand", trap],
    ];
    // The inner one is a submodule of the outer one: git would look into it with its own configuration.
    await commitAll(join(folder, "inner"));
    await commitAll();
    for (const repository of [folder, join(folder, "inner")]) {
      for (const [name, value] of traps) {
        await git(repository, ["config", name, value]);
      }
      for (const hook of ["post-index-change", "post-commit", "pre-commit", "reference-transaction"]) {
        await put({ [`.git/traps/${hook}`]: `#!/bin/sh\n${trap}\n` }, repository);
        await chmod(join(repository, ".git", "traps", hook), 0o755);
      }
    }
    await put({ "a.txt": "changed", "inner/b.txt": "changed" });
    const before = await everything(folder);
    const taken = await snapshot();
    expect(await everything(folder)).toEqual(before);
    expect(taken.changedFiles).toBe(1);
    await expect(stat(sentinel)).rejects.toMatchObject({ code: "ENOENT" });
    // The trap does work when git obeys it.
    await git(folder, ["status"]).catch(() => undefined);
    await stat(sentinel);
  });
});

describe("a folder that cannot be taken", () => {
  it("is not there, or is a file", async () => {
    await put({ "a.txt": "a" });
    await expect(snapshot(join(top, "missing"))).rejects.toMatchObject({ code: "INPUT_INVALID" });
    await expect(snapshot(join(folder, "a.txt"))).rejects.toMatchObject({ code: "INPUT_INVALID" });
  });

  it("has files or folders that cannot be read, which are named", async () => {
    await put({ "fine.txt": "f", "locked.txt": "l" });
    await chmod(join(folder, "locked.txt"), 0);
    await expect(snapshot()).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: expect.stringContaining('"locked.txt"'),
    });
    await chmod(join(folder, "locked.txt"), 0o600);
    await put({ "shut/x": "x" });
    await chmod(join(folder, "shut"), 0);
    try {
      await expect(snapshot()).rejects.toMatchObject({
        code: "INPUT_INVALID",
        message: expect.stringContaining("shut"),
      });
    } finally {
      await chmod(join(folder, "shut"), 0o700);
    }
    expect(await readdir(packs)).toEqual([]);
  });

  it("is too big, before it is read or once it is packed", async () => {
    await put({ "zeros.bin": "\0".repeat(50_000) });
    await expect(snapshot(folder, { bytesMax: 10_000 })).rejects.toMatchObject({ code: "SOURCE_TOO_BIG" });
    await expect(snapshot(folder, { bytesMax: 100 })).rejects.toMatchObject({ code: "SOURCE_TOO_BIG" });
    await rm(join(folder, "zeros.bin"));
    await put({ a: "some text", b: "other text", c: "more text" });
    await expect(snapshot(folder, { bytesMax: 100 })).rejects.toMatchObject({ code: "SOURCE_TOO_BIG" });
    expect(await readdir(packs)).toEqual([]);
  });

  it("holds the state folder", async () => {
    await expect(snapshot(folder, { packFile: join(folder, "state", "one.pack") })).rejects.toMatchObject({
      code: "INPUT_INVALID",
    });
  });
});
