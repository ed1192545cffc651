import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockStateFolder } from "./state-lock.ts";
import { makeFolder, until } from "./test-redis.fixture.ts";

let folder: string;
let holder: ChildProcess | null = null;

beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(async () => {
  holder?.kill("SIGKILL");
  holder = null;
  await rm(folder, { recursive: true, force: true });
});

/** Another process that holds the lock until it is killed. */
async function holdElsewhere(): Promise<ChildProcess> {
  const source = `import { lockStateFolder } from ${JSON.stringify(new URL("state-lock.ts", import.meta.url).href)};
    await lockStateFolder(process.argv[1]);
    console.log("held");
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  holder = child;
  await once(child.stdout, "data");
  return child;
}

const isFree = async () => {
  try {
    await (
      await lockStateFolder(folder)
    )();
    return true;
  } catch {
    return false;
  }
};

describe("the lock of the state folder", () => {
  it("refuses a second taker, and names the folder", async () => {
    const release = await lockStateFolder(folder);
    await expect(lockStateFolder(folder)).rejects.toMatchObject({
      code: "STATE_IN_USE",
      message: expect.stringContaining(folder),
    });
    await release();
  });

  it("is free once it was given back", async () => {
    expect(await isFree()).toBe(true);
    expect(await isFree()).toBe(true);
  });

  it("lets exactly one of many have it", async () => {
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => lockStateFolder(folder)));
    const held = tries.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(held).toHaveLength(1);
    await held[0]?.();
  });

  it("is freed when its holder is killed", async () => {
    const child = await holdElsewhere();
    await expect(lockStateFolder(folder)).rejects.toMatchObject({ code: "STATE_IN_USE" });
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    await until(isFree);
  });

  it("says so when there is no such folder", async () => {
    await expect(lockStateFolder(`${folder}/none`)).rejects.toMatchObject({ code: "STATE_IN_USE" });
  });
});
