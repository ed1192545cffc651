import { generateKeyPairSync } from "node:crypto";
import { chmod, link, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFolder } from "../../store/test-redis.fixture.ts";
import { loadDoorKeys } from "./door-keys.ts";

let folder: string;
beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("the door's keys", () => {
  it("are the same for all brokers that start at once on one folder, and nothing half-made is left", async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => loadDoorKeys(folder, 0)));
    expect(new Set(all.map(({ pins }) => pins.join(","))).size).toBe(1);
    expect(new Set(all.map(({ server }) => server.key)).size).toBe(1);
    expect((await readdir(folder)).toSorted()).toEqual(["authority.key", "next.key", "pins", "server.key"]);
    expect((await readFile(join(folder, "pins"), "utf8")).trim()).toBe(all[0]?.pins.join(","));
  });

  it("leave no second copy behind where a broker was killed while it made one", async () => {
    const now = Date.now();
    await loadDoorKeys(folder, now);
    const [old, fresh] = [join(folder, "next.key.1.half"), join(folder, "next.key.2.half")];
    await link(join(folder, "next.key"), old);
    await writeFile(fresh, "another broker is at it", { mode: 0o600 });
    await loadDoorKeys(folder, now + 60_000);
    expect(await readdir(folder)).toHaveLength(6);
    await loadDoorKeys(folder, now + 2 * 60 * 60_000);
    expect((await readdir(folder)).toSorted()).toEqual(["authority.key", "next.key", "pins", "server.key"]);
  });

  it("are refused when somebody else may read one", async () => {
    await loadDoorKeys(folder, 0);
    await chmod(join(folder, "authority.key"), 0o640);
    await expect(loadDoorKeys(folder, 0)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  it.each([
    ["no key at all", () => "hello"],
    ["a key of another kind", () => pemOf(generateKeyPairSync("ed25519").privateKey)],
    ["a key on another curve", () => pemOf(generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey)],
  ])("are refused when one is %s", async (_what, make) => {
    await writeFile(join(folder, "server.key"), make(), { mode: 0o600 });
    await expect(loadDoorKeys(folder, 0)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});

function pemOf(key: ReturnType<typeof generateKeyPairSync>["privateKey"]): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
