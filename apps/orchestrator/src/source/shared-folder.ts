import { chmod, mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/** Makes a folder of this very mode, whatever the umask says and whatever mode it had before. Idempotent. */
export async function ensureSharedFolder(path: string, mode: number): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, mode);
}

/** The folder of packs, which the broker reads by the service's group, and the one above, which it passes. */
export async function ensurePacksFolder(path: string): Promise<void> {
  await ensureSharedFolder(dirname(path), 0o710);
  await ensureSharedFolder(path, 0o750);
}
