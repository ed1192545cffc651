import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { isAppError } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addCommit, addRawCommit, git, type Files } from "./testing/repository.ts";
import { createSourceWorld, runOn, type SourceWorld } from "./testing/source-world.ts";

let world: SourceWorld;
let base: string;

beforeEach(async () => {
  world = await createSourceWorld();
  base = await addCommit(world.repository, { "a.txt": "a" });
});

afterEach(async () => {
  await world.close();
});

interface Taken {
  /** Who would not have it: our fetch, or the git in the machine; null for nobody. */
  readonly refusedBy: "fetch" | "machine" | null;
  /** What lies in the machine's folder. */
  readonly names: readonly string[];
}

/** Packs and unpacks a pull request with that head. */
async function take(head: string): Promise<Taken> {
  const pull = { head, base, mergeBase: base, commits: [head] };
  const server = await world.serve();
  try {
    const { folder } = await world.deliver(world.sources(server.url, pull), runOn(pull));
    return { refusedBy: null, names: await readdir(folder) };
  } catch (error) {
    if (isAppError(error, "SOURCE_UNAVAILABLE")) {
      return { refusedBy: "fetch", names: [] };
    }
    if (String(error).startsWith("Error: git ")) {
      return { refusedBy: "machine", names: [] };
    }
    throw error;
  }
}

async function expectNoSentinel(): Promise<void> {
  const names = await readdir(world.folder, { recursive: true });
  expect(names.filter((name) => basename(name) === "sentinel")).toEqual([]);
}

/** A command that would leave a trace. */
function trap(): string {
  return `touch ${world.folder}/sentinel`;
}

function commit(files: Files): Promise<string> {
  return addCommit(world.repository, files, [base]);
}

describe("hostile source", () => {
  it("with names that look like options, paths and commands is only data", async () => {
    const files = {
      [`--upload-pack=${trap()}`.replaceAll("/", "_")]: "1",
      "$(touch sentinel)": "2",
      "`touch sentinel`": "3",
      "; touch sentinel": "4",
      "-c": "5",
      "--end-of-options": "6",
      "new\nline": "7",
    };
    const head = await commit(files);
    await git(world.repository, ["update-ref", `refs/heads/--upload-pack=touch-sentinel`, head]);
    const { names } = await take(head);
    expect(names).toEqual(expect.arrayContaining(Object.keys(files)));
    await expectNoSentinel();
  });

  it("with attributes that name filters and drivers runs none of them", async () => {
    const head = await commit({
      ".gitattributes": "* filter=lfs diff=trap merge=trap working-tree-encoding=UTF-16\n* export-subst ident\n",
      ".lfsconfig": `[lfs]\n\turl = ${trap()}\n`,
      "big.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    });
    expect((await take(head)).refusedBy).toBeNull();
    await expectNoSentinel();
  });

  it.each([
    ["an option as url", "fetch", (command: string) => `url = -u./${command}`],
    ["a command as url", null, (command: string) => `url = ext::sh -c ${command.replaceAll(" ", "% ")}`],
    ["a local path as url", null, () => "url = file:///etc"],
    ["a way out as path", null, () => "url = https://example.com/x.git\n\tpath = ../../x"],
    ["an option as path", "fetch", () => "url = https://example.com/x.git\n\tpath = -x"],
    ["a carriage return at the end of its path", null, () => 'url = https://example.com/x.git\n\tpath = "x\r"'],
    [
      "a command as update",
      "fetch",
      (command: string) => `url = https://example.com/x.git\n\tpath = x\n\tupdate = !${command}`,
    ],
  ])("with a submodule that has %s fetches nothing of it (refused by %s)", async (_name, refusedBy, setting) => {
    const modules = `[submodule "x"]\n\t${setting(trap())}\n`;
    const blob = await git(world.repository, ["hash-object", "-w", "--stdin"], modules);
    const head = await addRawCommit(
      world.repository,
      [
        { mode: "100644", name: ".gitmodules", id: blob },
        { mode: "160000", name: "x", id: base },
      ],
      base,
    );
    expect((await take(head)).refusedBy).toBe(refusedBy);
    await expectNoSentinel();
  });

  it.each([
    [".git", "fetch"],
    [".GIT", "fetch"],
    ["git~1", "fetch"],
    [".g\u200cit", "fetch"],
    ["..", "fetch"],
    [".", "fetch"],
    ["", "fetch"],
  ])("with a tree that has a link named %j is refused by the %s", async (name, refusedBy) => {
    const link = await git(world.repository, ["hash-object", "-w", "--stdin"], "/etc");
    const head = await addRawCommit(world.repository, [{ mode: "120000", name, id: link }], base);
    expect((await take(head)).refusedBy).toBe(refusedBy);
  });

  it("with .gitmodules as a link is refused", async () => {
    const link = await git(world.repository, ["hash-object", "-w", "--stdin"], "../../../etc/passwd");
    const head = await addRawCommit(world.repository, [{ mode: "120000", name: ".gitmodules", id: link }], base);
    expect((await take(head)).refusedBy).toBe("fetch");
  });

  it("with an embedded bare repository runs nothing of it", async () => {
    const head = await commit({
      "bare/HEAD": "ref: refs/heads/main\n",
      "bare/config": `[core]\n\tbare = true\n\tfsmonitor = ${trap()}\n\thooksPath = hooks\n`,
      "bare/objects/.keep": "",
      "bare/refs/.keep": "",
      "bare/hooks/post-checkout": { mode: "100755", content: `#!/bin/sh\n${trap()}\n` },
    });
    expect((await take(head)).refusedBy).toBeNull();
    await expectNoSentinel();
  });

  it("with huge names is packed all the same", async () => {
    const blob = await git(world.repository, ["hash-object", "-w", "--stdin"], "x");
    const head = await addRawCommit(
      world.repository,
      [{ mode: "100644", name: "n".repeat(1_000_000), id: blob }],
      base,
    );
    // No file system has names this long.
    expect((await take(head)).refusedBy).toBe("machine");
    await expectNoSentinel();
  });

  it("with a gitlink packs the link and nothing behind it", async () => {
    const head = await addRawCommit(world.repository, [{ mode: "160000", name: "sub", id: "2".repeat(40) }], base);
    expect((await take(head)).refusedBy).toBeNull();
  });
});
