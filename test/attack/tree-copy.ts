import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** A throw-away copy of the source, whose own packages refer to the copy and whose libraries are the ones installed. */
export interface TreeCopy {
  readonly root: string;
  /**
   * Replaces the one place where `find` stands, and returns what puts it back. Throws if there is not exactly one.
   */
  patch(file: string, find: string, replace: string): Promise<() => Promise<void>>;
  remove(): Promise<void>;
}

const leftOut = new Set(["node_modules", ".git", ".turbo", "dist"]);
/** The packages of this repository: their links are relative, so that in the copy they point into the copy. */
const OWN_SCOPE = "@mayfly";

export async function copyTree(from: string): Promise<TreeCopy> {
  const root = await mkdtemp(join(tmpdir(), "mayfly-mutants-"));
  // The service gives up root, and must be able to read what it runs.
  await chmod(root, 0o755);
  await cp(from, root, { recursive: true, filter: (path) => path === from || !leftOut.has(basename(path)) });
  const libraries = join(from, "node_modules");
  await mkdir(join(root, "node_modules", OWN_SCOPE), { recursive: true });
  for (const name of await readdir(libraries)) {
    if (name !== OWN_SCOPE) {
      await symlink(join(libraries, name), join(root, "node_modules", name));
    }
  }
  for (const name of await readdir(join(libraries, OWN_SCOPE))) {
    await cp(join(libraries, OWN_SCOPE, name), join(root, "node_modules", OWN_SCOPE, name), { verbatimSymlinks: true });
  }
  return {
    root,
    async patch(file, find, replace) {
      const path = join(root, file);
      const text = await readFile(path, "utf8");
      const places = text.split(find).length - 1;
      if (places !== 1) {
        throw new Error(`${file} has ${places} places like ${JSON.stringify(find)}`);
      }
      await writeFile(
        path,
        text.replace(find, () => replace),
      );
      return () => writeFile(path, text);
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}
