import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Writes the file whole or not at all; on disk, name and all, when this returns. Nobody else may read it. One at a time. */
export async function writeDurably(file: string, content: Uint8Array | string, mode = 0o600): Promise<void> {
  const half = `${file}.half`;
  const handle = await open(half, "w", mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(half, file);
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
