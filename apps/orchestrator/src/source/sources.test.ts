import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { limits, type RunId } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addCommit, addCommits, git, hasObject } from "./testing/repository.ts";
import { processesWith } from "./testing/processes.ts";
import { createPullRequest } from "./testing/pull-request.ts";
import { createSourceWorld, runOn, TOKEN, type SourceWorld } from "./testing/source-world.ts";

let world: SourceWorld;

beforeEach(async () => {
  world = await createSourceWorld();
});

afterEach(async () => {
  await world.close();
});

describe("a pack of a pull request", () => {
  it("unpacks in the machine with its own object ids, difference and files", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const { layout, folder } = await world.deliver(world.sources(server.url, pull), runOn(pull));
    expect(layout).toMatchObject({ head: pull.head, base: pull.base, merge_base: pull.mergeBase });
    expect(layout.shallow).toEqual([pull.mergeBase]);
    expect(await git(folder, ["rev-parse", "HEAD"])).toBe(pull.head);
    expect(await git(folder, ["diff", "--name-only", "refs/mayfly/merge-base", "HEAD"])).toBe("src/b.txt");
    expect(await git(folder, ["rev-list", "--count", "refs/mayfly/merge-base..HEAD"])).toBe("2");
    expect(await git(folder, ["merge-base", "refs/mayfly/base", "HEAD"])).toBe(pull.mergeBase);
    expect(await readFile(join(folder, "src/b.txt"), "utf8")).toBe("b, best");
    expect(await git(folder, ["fsck", "--full", "--strict"])).toBe("");
    expect(await git(folder, ["status", "--porcelain"])).toBe("");
  });

  it("has nothing that only history or another branch has, and neither has the mirror", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const { folder } = await world.deliver(world.sources(server.url, pull), runOn(pull));
    const history = [pull.old, `${pull.old}:a.txt`, pull.secret, `${pull.secret}:a.txt`];
    for (const name of history) {
      const id = await git(world.repository, ["rev-parse", name]);
      expect(await hasObject(folder, id)).toBe(false);
      expect(await hasObject(world.mirror, id)).toBe(false);
    }
    expect(await hasObject(world.mirror, pull.head)).toBe(true);
    const packed = await git(folder, ["cat-file", "--batch-check", "--batch-all-objects"]);
    // 4 commits, 4 root trees, 3 trees of src, 5 files.
    expect(packed.split("\n")).toHaveLength(16);
  });

  it("follows the approved commit, whatever the pull request's ref says now", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const { folder } = await world.deliver(world.sources(server.url, pull), runOn(pull));
    expect(await git(world.repository, ["rev-parse", "refs/pull/7/head"])).not.toBe(pull.head);
    expect(await git(folder, ["rev-parse", "HEAD"])).toBe(pull.head);
  });

  it("is whole when the pull request has merged its base in between", async () => {
    const { base, mergeBase } = await createPullRequest(world);
    const add = addCommit.bind(null, world.repository);
    const first = await add({ "a.txt": "1" }, [mergeBase ?? ""]);
    const merge = await add({ "a.txt": "1", "new.txt": "n" }, [first, base]);
    const baseNow = await add({ "a.txt": "a", "new.txt": "newer" }, [base]);
    const pull = { head: merge, base: baseNow, mergeBase: base, commits: [first, merge] };
    const server = await world.serve();
    const { layout, folder } = await world.deliver(world.sources(server.url, pull), runOn(pull));
    expect(new Set(layout.shallow)).toEqual(new Set([base, first]));
    expect(await git(folder, ["merge-base", "refs/mayfly/base", "HEAD"])).toBe(base);
    expect(await git(folder, ["fsck", "--full", "--strict"])).toBe("");
  });

  it("is made of one commit when the pull request is empty", async () => {
    const { base } = await createPullRequest(world);
    const pull = { head: base, base, mergeBase: base, commits: [] };
    const server = await world.serve();
    const { layout, folder } = await world.deliver(world.sources(server.url, pull), runOn(pull));
    expect(layout.shallow).toEqual([base]);
    expect(await git(folder, ["diff", "refs/mayfly/base...HEAD"])).toBe("");
  });

  it("needs no merge base", async () => {
    const { base } = await createPullRequest(world);
    const head = await addCommit(world.repository, { "x.txt": "unrelated" });
    const pull = { head, base, mergeBase: null, commits: [head] };
    const server = await world.serve();
    const { layout } = await world.deliver(world.sources(server.url, pull), runOn(pull));
    expect(layout).toMatchObject({ merge_base: null, shallow: [base] });
  });

  it("takes head and the newest commits of a pull request that has too many", async () => {
    const { base } = await createPullRequest(world);
    const contents = Array.from({ length: limits.sourceCommitsMax + 5 }, (_, at) => ({ "n.txt": `${at}` }));
    const commits = await addCommits(world.repository, contents, base);
    const [oldest = "", head = ""] = [commits.at(0), commits.at(-1)];
    const pull = { head, base, mergeBase: base, commits };
    const server = await world.serve();
    const { layout, folder } = await world.deliver(world.sources(server.url, pull), runOn(pull));
    expect(await git(folder, ["rev-list", "--count", "HEAD"])).toBe(String(limits.sourceCommitsMax));
    expect(await hasObject(folder, oldest)).toBe(false);
    expect(new Set(layout.shallow)).toEqual(new Set([base, commits[5]]));
    expect(await git(folder, ["diff", "--name-only", "refs/mayfly/merge-base", "HEAD"])).not.toBe("");
  });
});

describe("packing", () => {
  it("is done once for a run, however often and by however many it is asked for", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const sources = world.sources(server.url, pull);
    const run = runOn(pull);
    const [one, other] = await Promise.all([sources.ensurePacked(run), sources.ensurePacked(run)]);
    expect(other).toEqual(one);
    const asked = server.requests.length;
    expect(await world.sources(server.url, pull).ensurePacked(run)).toEqual(one);
    expect(server.requests).toHaveLength(asked);
    expect(world.lent()).toBe(1);
  });

  it("fetches nothing and borrows no token for what the mirror has", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const sources = world.sources(server.url, pull);
    await sources.ensurePacked(runOn(pull));
    const asked = server.requests.length;
    await sources.ensurePacked(runOn(pull));
    expect(server.requests).toHaveLength(asked);
    expect(world.lent()).toBe(1);
  });

  it("fetches what is new after a push", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    await world.sources(server.url, pull).ensurePacked(runOn(pull));
    const head = await addCommit(world.repository, { "a.txt": "pushed" }, [pull.head]);
    const pushed = { ...pull, head, commits: [...pull.commits, head] };
    const { layout, folder } = await world.deliver(world.sources(server.url, pushed), runOn(pushed));
    expect(layout.shallow).toEqual([pull.mergeBase]);
    expect(await git(folder, ["rev-list", "--count", "refs/mayfly/merge-base..HEAD"])).toBe("3");
    expect(await git(folder, ["fsck", "--full", "--strict"])).toBe("");
  });

  it("makes a pack again that a crash left without its layout", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const run = runOn(pull);
    const packs = join(world.stateDir, "source", "packs");
    await mkdir(packs, { recursive: true });
    await writeFile(join(packs, `${run.id}.pack`), "half");
    await writeFile(join(packs, `${run.id}.pack.tmp`), "half");
    await world.deliver(world.sources(server.url, pull), run);
    expect((await readdir(packs)).toSorted()).toEqual([`${run.id}.json`, `${run.id}.pack`]);
  });

  it("works without being asked for the token when everybody may read", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve({ token: null });
    await world.deliver(world.sources(server.url, pull), runOn(pull));
    expect(server.requests.some((line) => line.startsWith("401"))).toBe(false);
  });

  it("starts a mirror anew that is broken, at once or with the next try", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const sources = world.sources(server.url, pull);
    await sources.ensurePacked(runOn(pull));
    await rm(join(world.mirror, "HEAD"));
    await world.deliver(sources, runOn(pull));
    await rename(join(world.mirror, "objects"), join(world.mirror, "lost"));
    const run = runOn(pull);
    await expect(sources.ensurePacked(run)).rejects.toMatchObject({ code: "SOURCE_UNAVAILABLE" });
    await world.deliver(sources, run);
    expect(world.lent()).toBe(3);
  });

  it("obeys no configuration that was planted in the mirror", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const elsewhere = await world.serve({ token: null });
    const sources = world.sources(server.url, pull);
    await sources.ensurePacked(runOn(pull));
    const planted = `[url "${elsewhere.url}/"]\n\tinsteadOf = ${server.url}/\n[core]\n\tfsmonitor = touch ${world.folder}/sentinel\n`;
    await rm(join(world.mirror, "config"), { force: true });
    await writeFile(join(world.mirror, "config"), planted);
    const head = await addCommit(world.repository, { "a.txt": "pushed" }, [pull.head]);
    const pushed = { ...pull, head, commits: [...pull.commits, head] };
    await world.sources(server.url, pushed).ensurePacked(runOn(pushed));
    expect(elsewhere.requests).toEqual([]);
    expect(await readdir(world.folder)).not.toContain("sentinel");
  });

  it("forgets a pack, and again", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const sources = world.sources(server.url, pull);
    const run = runOn(pull);
    await sources.ensurePacked(run);
    await sources.ensureDropped(run.id);
    await sources.ensureDropped(run.id);
    await expect(sources.openPack(run.id)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await readdir(join(world.stateDir, "source", "packs"))).toEqual([]);
  });

  it("forgets a repository, and again", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const sources = world.sources(server.url, pull);
    const run = runOn(pull);
    await sources.ensurePacked(run);
    await sources.ensureRepositoryRemoved(4711);
    await sources.ensureRepositoryRemoved(4711);
    await sources.ensureDropped(run.id);
    expect(await world.leftovers()).toEqual([]);
  });

  it("knows no pack under a name that is no run's", async () => {
    const sources = world.sources("http://localhost", await createPullRequest(world));
    await expect(sources.openPack("../../etc/passwd" as RunId)).rejects.toThrow(TypeError);
  });
});

describe("packing fails and leaves nothing", () => {
  it("when a commit is not there any more", async () => {
    const pull = await createPullRequest(world);
    const gone = "1".repeat(40);
    const server = await world.serve();
    const forced = { ...pull, head: gone, commits: [gone] };
    await expect(world.sources(server.url, forced).ensurePacked(runOn(forced))).rejects.toMatchObject({
      code: "SOURCE_UNAVAILABLE",
      message: expect.stringContaining(gone),
    });
    expect(await world.leftovers()).toEqual([]);
  });

  it("when an id is that of a file or a tree", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    for (const name of [`${pull.head}:a.txt`, `${pull.head}^{tree}`]) {
      const head = await git(world.repository, ["rev-parse", name]);
      const other = { ...pull, head, commits: [] };
      const packing = world.sources(server.url, other).ensurePacked(runOn(other));
      await expect(packing).rejects.toMatchObject({ code: "SOURCE_UNAVAILABLE" });
      expect(await world.leftovers()).toEqual([]);
    }
  });

  it("when an id is an option or a ref", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    for (const head of ["--upload-pack=touch sentinel", "refs/heads/main", "HEAD", `${pull.head}\n${pull.secret}`]) {
      const other = { ...pull, head, commits: [] };
      const packing = world.sources(server.url, other).ensurePacked(runOn(other));
      await expect(packing).rejects.toMatchObject({ code: "SOURCE_UNAVAILABLE" });
    }
    expect(server.requests).toEqual([]);
  });

  it("when the token is refused, without showing it", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve({ token: "another" });
    const failure: unknown = await world
      .sources(server.url, pull)
      .ensurePacked(runOn(pull))
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "SOURCE_UNAVAILABLE" });
    expect(JSON.stringify(failure) + String(failure)).not.toContain(TOKEN);
    expect(await world.leftovers()).toEqual([]);
  });

  it("when the server sends it elsewhere", async () => {
    const pull = await createPullRequest(world);
    const elsewhere = await world.serve({ token: null });
    const server = await world.serve({
      async intercept(request, response) {
        response.writeHead(302, { location: `${elsewhere.url}${request.url}` }).end();
        return true;
      },
    });
    const packing = world.sources(server.url, pull).ensurePacked(runOn(pull));
    await expect(packing).rejects.toMatchObject({ code: "SOURCE_UNAVAILABLE" });
    expect(elsewhere.requests).toEqual([]);
    expect(await world.leftovers()).toEqual([]);
  });

  it("when the source is larger than allowed, while it is fetched", async () => {
    const { base } = await createPullRequest(world);
    const head = await addCommit(world.repository, { "noise.txt": noise(400_000) }, [base]);
    const pull = { head, base, mergeBase: base, commits: [head] };
    const server = await world.serve();
    const packing = world.sources(server.url, pull, { bytesMax: 100_000 }).ensurePacked(runOn(pull));
    await expect(packing).rejects.toMatchObject({ code: "SOURCE_TOO_BIG" });
    expect(await world.leftovers()).toEqual([]);
  });

  it("when the source is larger than allowed, while it is packed", async () => {
    const { base } = await createPullRequest(world);
    const head = await addCommit(world.repository, { "noise.txt": noise(400_000) }, [base]);
    const pull = { head, base, mergeBase: base, commits: [head] };
    const server = await world.serve();
    const run = runOn(pull);
    const generous = world.sources(server.url, pull);
    await generous.ensurePacked(run);
    await generous.ensureDropped(run.id);
    const packing = world.sources(server.url, pull, { bytesMax: 150_000 }).ensurePacked(run);
    await expect(packing).rejects.toMatchObject({ code: "SOURCE_TOO_BIG" });
    expect(await world.leftovers()).toEqual([]);
  });

  it("when the server does not answer in time", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve({ intercept: () => new Promise(() => undefined) });
    const packing = world.sources(server.url, pull, { timeoutMs: 1_500 }).ensurePacked(runOn(pull));
    await expect(packing).rejects.toMatchObject({
      code: "SOURCE_UNAVAILABLE",
      message: expect.stringContaining("longer than 1.5 s"),
    });
    expect(await world.leftovers()).toEqual([]);
    expect((await processesWith(world.mirror)).commands).toEqual([]);
  });

  it("when GitHub lends no token", async () => {
    const pull = await createPullRequest(world);
    const server = await world.serve();
    const refused = new Error("refused");
    const sources = world.sources(server.url, pull, { withReadToken: () => Promise.reject(refused) });
    await expect(sources.ensurePacked(runOn(pull))).rejects.toBe(refused);
  });
});

/** Text that does not compress: the same each time. */
function noise(characters: number): string {
  let text = "";
  for (let block = 0; text.length < characters; block++) {
    text += createHash("sha512").update(String(block)).digest("base64");
  }
  return text;
}
