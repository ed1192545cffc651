import { chmod, chown, mkdtemp, mkdir, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AppError, isAppError } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prepareFolders } from "./parts.ts";

const NOBODY = 65_534;

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

  it.runIf(process.getuid?.() === 0).each([
    ["whose file system takes root for nobody", "EPERM", "mounted", "state_dir (MAYFLY_STATE_DIR)"],
    ["that it may not make at all", "EACCES", "closed", "shared_dir (MAYFLY_SHARED_DIR)"],
  ])("are refused by name in a place %s, with what would do", async (_where, code, wrong, setting) => {
    const own = { name: "mayfly", uid: NOBODY, gid: 0, groups: [] };
    // What a network's file system does with root's chown it does with anybody's who is not root.
    const broker = code === "EPERM" ? { ...own, uid: NOBODY - 1 } : own;
    const open = join(folder, "mounted");
    await chmod(folder, 0o755);
    await mkdir(open);
    await chown(open, NOBODY, NOBODY);
    const shared = join(folder, wrong, "shared");
    const refusal = refusalOf(() =>
      asNobody(() => prepareFolders(join(open, "state"), shared, { service: own, broker, signer: own })),
    );
    expect(refusal).toMatchObject({ code: "CONFIG_INVALID" });
    for (const said of [code, setting, "no_root_squash"]) {
      expect(refusal.message).toContain(said);
    }
  });
});

/** In the place of root on a file system where root is nobody; only root can become that. */
function asNobody(work: () => void): void {
  process.seteuid?.(NOBODY);
  try {
    work();
  } finally {
    process.seteuid?.(0);
  }
}

function refusalOf(work: () => void): AppError {
  try {
    work();
  } catch (error) {
    return error as AppError;
  }
  throw new Error("it was not refused");
}
