import { open } from "node:fs/promises";
import { AppError, limits } from "@mayfly/core";

/**
 * A task file's text. One byte more than is accepted: that says as well that it is too much. Throws INPUT_INVALID for a
 * file that cannot be read. Bound: limits.taskBytesMax.
 */
export async function readTaskText(file: string): Promise<string> {
  try {
    const handle = await open(file);
    try {
      const bytes = Buffer.alloc(limits.taskBytesMax + 1);
      let filled = 0;
      for (let got = -1; got !== 0 && filled < bytes.length; filled += got) {
        got = (await handle.read(bytes, filled, bytes.length - filled)).bytesRead;
      }
      return bytes.toString("utf8", 0, filled);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new AppError("INPUT_INVALID", `the task file ${file} cannot be read`, { cause });
  }
}
