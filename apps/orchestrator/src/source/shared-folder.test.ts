import { chmod, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ensureSharedFolder } from "./shared-folder.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-shared-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

it("opens a folder to the broker that was closed before, and leaves the one above it alone", async () => {
  const shared = join(folder, "packs");
  await ensureSharedFolder(shared, 0o700);
  await chmod(folder, 0o751);
  await ensureSharedFolder(shared, 0o750);
  const modes = await Promise.all([folder, shared].map(async (path) => ((await stat(path)).mode & 0o777).toString(8)));
  expect(modes).toEqual(["751", "750"]);
});
