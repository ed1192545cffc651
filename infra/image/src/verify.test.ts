import { link, mkdir, mkdtemp, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Digest, isAppError } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { canonicalJson, sha256 } from "./digest.ts";
import { imageFiles, type Manifest } from "./manifest.ts";
import { openImage, verifyImage } from "./verify.ts";

let cache = "";
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "mayfly-verify-"));
});
afterEach(() => rm(cache, { recursive: true, force: true }));

const deb = { name: "bash", version: "5.2", sha256: "b".repeat(64) };

async function makeImage(): Promise<{ dir: string; digest: Digest }> {
  const file = (name: string) => ({ sha256: sha256(`content of ${name}`), size: `content of ${name}`.length });
  const manifest: Manifest = {
    schema: 1,
    architecture: "x86_64",
    files: { vmlinux: file("vmlinux"), "root.erofs": file("root.erofs"), "initrd.cpio": file("initrd.cpio") },
    kernelRelease: "6.1",
    kernelCommandLine: { accelerated: [], emulated: [] },
    recipe: "1".repeat(64),
    lock: "2".repeat(64),
    agent: "3".repeat(64),
    kernel: deb,
    debs: [deb],
    npm: [],
    substituted: [],
  };
  const text = canonicalJson(manifest);
  const dir = join(cache, sha256(text));
  await mkdir(dir);
  await writeFile(join(dir, "manifest.json"), text);
  await Promise.all(imageFiles.map((name) => writeFile(join(dir, name), `content of ${name}`)));
  return { dir, digest: `sha256:${sha256(text)}` as Digest };
}

async function problemsOf(dir: string): Promise<string> {
  const result = await verifyImage(dir);
  return result.ok ? "none" : result.problems.join("; ");
}

describe("verifyImage", () => {
  it("accepts an image that is what its manifest says", async () => {
    const { dir, digest } = await makeImage();
    const result = await verifyImage(dir);
    expect(result).toMatchObject({ ok: true, image: { digest, kernel: join(dir, "vmlinux") } });
  });

  it.each([...imageFiles])("refuses a changed %s of the same size", async (name) => {
    const { dir } = await makeImage();
    await writeFile(join(dir, name), `CONTENT of ${name}`);
    expect(await problemsOf(dir)).toContain(`${name} has changed`);
  });

  it("refuses an image with a file missing", async () => {
    const { dir } = await makeImage();
    await rm(join(dir, "initrd.cpio"));
    expect(await problemsOf(dir)).toBe("initrd.cpio is missing");
  });

  it("refuses a manifest that is not the one its folder is named after", async () => {
    const { dir } = await makeImage();
    const other = join(cache, "0".repeat(64));
    await rename(dir, other);
    expect(await problemsOf(other)).toContain("manifest.json has changed");
  });

  it("refuses what is no manifest", async () => {
    const { dir } = await makeImage();
    await writeFile(join(dir, "manifest.json"), "{}");
    expect(await problemsOf(dir)).toBe("manifest.json is not a manifest");
  });
});

describe("openImage", () => {
  const isInvalid = (error: unknown) => isAppError(error, "IMAGE_INVALID");

  it("gives the image with the expected digest and no other", async () => {
    const { dir, digest } = await makeImage();
    expect((await openImage(dir, digest)).digest).toBe(digest);
    await expect(openImage(dir, `sha256:${"0".repeat(64)}` as Digest)).rejects.toSatisfy(isInvalid);
  });

  it("checks once for callers at the same time, and not again while nothing changes", async () => {
    const { dir, digest } = await makeImage();
    const [first, second] = await Promise.all([openImage(dir, digest), openImage(dir, digest)]);
    expect(first).toBe(second);
    expect(await openImage(dir, digest)).toBe(first);
  });

  it("notices a file that is written to after it was verified, even if its time is set back", async () => {
    const { dir, digest } = await makeImage();
    const path = join(dir, "root.erofs");
    const moment = new Date(1_000_000_000_000);
    await utimes(path, moment, moment);
    await openImage(dir, digest);
    await writeFile(path, "CONTENT of root.erofs");
    await utimes(path, moment, moment);
    await expect(openImage(dir, digest)).rejects.toSatisfy(isInvalid);
  });

  it("opens an image of which another build shares the files meanwhile", async () => {
    const { dir, digest } = await makeImage();
    const opened = openImage(dir, digest);
    // A link changes the inode's time of change, as a build from the same layer does: each spoils one check at most.
    for (const name of ["first", "second", "third", "fourth"]) {
      await link(join(dir, "root.erofs"), join(cache, name));
    }
    expect((await opened).digest).toBe(digest);
  });

  it("notices a file that is replaced after it was verified", async () => {
    const { dir, digest } = await makeImage();
    await openImage(dir, digest);
    await writeFile(join(cache, "other"), "CONTENT of vmlinux");
    await rm(join(dir, "vmlinux"));
    await link(join(cache, "other"), join(dir, "vmlinux"));
    await expect(openImage(dir, digest)).rejects.toSatisfy(isInvalid);
  });
});
