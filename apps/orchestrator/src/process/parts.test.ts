import { mkdtemp, mkdir, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAppError } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prepareFolders } from "./parts.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-parts-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

describe("the folders of a service", () => {
  it("are closed to all others where every process is the same user", async () => {
    const state = join(folder, "state");
    prepareFolders(state, state, null);
    prepareFolders(state, state, null);
    expect(await modeOf(state)).toBe("700");
    expect(await modeOf(join(state, "signer"))).toBe("700");
  });

  it("are refused where somebody has put a link in their place, and what it points to is left alone", async () => {
    const state = join(folder, "state");
    const elsewhere = join(folder, "elsewhere");
    await mkdir(state);
    await mkdir(elsewhere, { mode: 0o750 });
    await symlink(elsewhere, join(state, "receipt-keys"));
    expect(() => prepareFolders(state, state, null)).toThrow(
      expect.toSatisfy((error: unknown) => isAppError(error, "CONFIG_INVALID")),
    );
    expect(await modeOf(elsewhere)).toBe("750");
  });
});
