import { randomUUID } from "node:crypto";
import { link, open, rm, writeFile } from "node:fs/promises";
import { AppError } from "@mayfly/core";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** One UUID and a line's end; whoever may write into the folder may have put anything there. */
const MARK_BYTES_MAX = 64;
const MARK = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Makes sure that this host's folder is the one that all hosts with this Redis have: receipts, packed source and the keys of
 * the door would else be on some of them only. The first host's folder is; its mark is kept in Redis until an operator takes
 * it away. Idempotent. Throws CONFIG_INVALID for another folder or one that cannot be marked, STORE_UNAVAILABLE.
 *
 * @param deps.folder Is there already, and this process may write into it.
 */
export async function claimSharedFolder(deps: { redis: Redis; prefix: string; folder: string }): Promise<void> {
  const { redis, prefix, folder } = deps;
  const key = `${prefix}shared-folder`;
  const mine = await ensureMark(folder);
  await asking(() => redis.set(key, mine, "NX"));
  const first = await asking(() => redis.get(key));
  if (first !== mine) {
    throw new AppError(
      "CONFIG_INVALID",
      `the folder ${folder} of this host is marked ${mine}, and that of the hosts before it with this Redis ${first ?? "nothing"}: ` +
        "set shared_dir (MAYFLY_SHARED_DIR) to one folder that all of them mount. Where the folder before is gone for good, docs/operations/roles.md says how to go on with this one",
    );
  }
}

/** The folder's mark, whoever wrote it first. */
async function ensureMark(folder: string): Promise<string> {
  const path = `${folder}/shared-folder`;
  const draft = `${path}.${randomUUID()}`;
  try {
    // Linked when it is whole: a host that comes at the same moment reads all of it or writes its own.
    await writeFile(draft, `${randomUUID()}\n`, { flag: "wx", mode: 0o600 });
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") {
        throw error;
      }
    });
    const mark = await readMark(path);
    if (!MARK.test(mark)) {
      throw new AppError("CONFIG_INVALID", `${path} is not the mark of a folder of ours: remove what lies there`);
    }
    return mark;
  } catch (cause) {
    if (cause instanceof AppError) {
      throw cause;
    }
    const said = (cause as NodeJS.ErrnoException).message;
    throw new AppError("CONFIG_INVALID", `the folder ${folder} could not be marked as this service's: ${said}`, {
      cause,
    });
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

async function readMark(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MARK_BYTES_MAX), 0, MARK_BYTES_MAX, 0);
    return buffer.toString("utf8", 0, bytesRead).trim();
  } finally {
    await file.close();
  }
}
