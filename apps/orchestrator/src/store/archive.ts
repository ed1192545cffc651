import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { type Archive, AppError } from "@mayfly/core";

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** Where receipts are, for every host of a service. */
export function archiveFolder(sharedDir: string): string {
  return `${sharedDir}/archive`;
}

/** The archive as a folder: one file a name, written whole or not at all. */
export function createFolderArchive(folder: string): Archive {
  let writes = 0;

  function pathOf(name: string): string {
    if (!NAME.test(name)) {
      throw new AppError("INPUT_INVALID", `${JSON.stringify(name)} is not a name in the archive`);
    }
    return `${folder}/${name}`;
  }

  return {
    async ensureStored(name, text) {
      const path = pathOf(name);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      // Two that store one name at once must not take each other's half.
      const half = `${path}.${process.pid}.${(writes += 1)}.half`;
      try {
        await writeFile(half, text, { mode: 0o600 });
        await rename(half, path);
      } catch (error) {
        await rm(half, { force: true });
        throw error;
      }
    },
    async read(name) {
      return readFile(pathOf(name), "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") {
          return null;
        }
        throw error;
      });
    },
  };
}
