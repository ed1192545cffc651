import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { claimSharedFolder } from "./shared-folder.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

let server: TestRedis;
let prefix: string;
let mine: string;
let other: string;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

beforeEach(async () => {
  prefix = server.prefix();
  mine = await mkdtemp(join(tmpdir(), "mayfly-shared-"));
  other = await mkdtemp(join(tmpdir(), "mayfly-shared-"));
});
afterEach(() => Promise.all([mine, other].map((folder) => rm(folder, { recursive: true, force: true }))));

const claim = (folder: string): Promise<void> => claimSharedFolder({ redis: server.redis, prefix, folder });

async function markOf(folder: string): Promise<string> {
  const [name = ""] = await readdir(folder);
  return (await readFile(join(folder, name), "utf8")).trim();
}

describe("the folder that the hosts of a service share", () => {
  it("is the one of whoever came first, also when they come at once or again", async () => {
    await Promise.all(Array.from({ length: 8 }, () => claim(mine)));
    await claim(mine);
    expect(await readdir(mine)).toHaveLength(1);
  });

  it("may not be another on another host, which is told of both and what would do", async () => {
    await claim(mine);
    const refusal = await claim(other).then(
      () => null,
      (error: unknown) => error,
    );
    expect(refusal).toMatchObject({ code: "CONFIG_INVALID" });
    for (const said of [other, await markOf(mine), await markOf(other), "shared_dir (MAYFLY_SHARED_DIR)", "roles.md"]) {
      expect(String(refusal)).toContain(said);
    }
    // Nor has it taken the place of the first.
    await claim(mine);
  });

  it("is the next host's whose operator has said so, and then no more the first's", async () => {
    await claim(mine);
    // What docs/operations/roles.md tells to do.
    await server.redis.del(`${prefix}shared-folder`);
    await claim(other);
    await expect(claim(mine)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  it("is refused where its mark is none of ours, and where it cannot be written", async () => {
    await claim(mine);
    await writeFile(join(mine, (await readdir(mine))[0] ?? ""), "x".repeat(1_000_000));
    await expect(claim(mine)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(claim(join(mine, "none"))).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});
