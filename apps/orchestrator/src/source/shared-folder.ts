import { chmod, mkdir } from "node:fs/promises";

/** Makes a folder of this very mode, whatever the umask says and whatever mode it had before. Idempotent. */
export async function ensureSharedFolder(path: string, mode: number): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, mode);
}
