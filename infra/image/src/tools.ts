import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";

import { AppError } from "@mayfly/core";

import { debianKeyring } from "./debian.ts";

export interface RequiredTool {
  /** A program looked for in the usual folders, or an absolute path. */
  readonly tool: string;
  /** The Debian package that brings it. */
  readonly debianPackage: string;
  /** Only needed by those who are not root. */
  readonly unprivilegedOnly?: true;
}

/** What building an image needs on the host, besides npm. */
export const requiredTools: readonly RequiredTool[] = [
  { tool: "mmdebstrap", debianPackage: "mmdebstrap" },
  { tool: "mkfs.erofs", debianPackage: "erofs-utils" },
  { tool: "lz4", debianPackage: "lz4" },
  { tool: "apt-get", debianPackage: "apt" },
  { tool: "dpkg-deb", debianPackage: "dpkg" },
  { tool: "setpriv", debianPackage: "util-linux" },
  { tool: "unshare", debianPackage: "util-linux" },
  { tool: "tar", debianPackage: "tar" },
  { tool: "find", debianPackage: "findutils" },
  { tool: debianKeyring, debianPackage: "debian-archive-keyring" },
  { tool: "newuidmap", debianPackage: "uidmap", unprivilegedOnly: true },
];

/** Where Debian puts programs: root's folders are not on everyone's path, yet mkfs.erofs and others live there. */
const FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The tools that are not there. */
export async function findMissingTools(options: { isRoot: boolean }): Promise<RequiredTool[]> {
  const wanted = requiredTools.filter((tool) => !options.isRoot || tool.unprivilegedOnly !== true);
  const found = await Promise.all(wanted.map(({ tool }) => isThere(tool)));
  return wanted.filter((_tool, index) => found[index] === false);
}

/**
 * Checks up front that an image can be built here.
 *
 * @throws AppError TOOLS_MISSING with all that is missing and the line that installs it.
 */
export async function checkTools(options: { uid: number; userName: string }): Promise<void> {
  const isRoot = options.uid === 0;
  const missing = await findMissingTools({ isRoot });
  if (missing.length > 0) {
    const names = missing.map(({ tool }) => tool).join(", ");
    const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))].join(" ");
    throw new AppError(
      "TOOLS_MISSING",
      `Building the machine image needs ${names}. Install with: apt-get install --no-install-recommends ${packages}`,
    );
  }
  if (!isRoot && !(await hasSubordinateIds(options))) {
    throw new AppError(
      "TOOLS_MISSING",
      `Building the machine image as ${options.userName} needs subordinate ids. Grant them with: ` +
        `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${options.userName}`,
    );
  }
}

async function isThere(tool: string): Promise<boolean> {
  if (tool.startsWith("/")) {
    return canAccess(tool, constants.R_OK);
  }
  const found = await Promise.all(FOLDERS.map((folder) => canAccess(join(folder, tool), constants.X_OK)));
  return found.includes(true);
}

async function canAccess(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}

async function hasSubordinateIds(user: { uid: number; userName: string }): Promise<boolean> {
  const tables = await Promise.all(
    ["/etc/subuid", "/etc/subgid"].map((path) => readFile(path, "utf8").catch(() => "")),
  );
  return tables.every((table) =>
    table.split("\n").some((line) => line.startsWith(`${user.userName}:`) || line.startsWith(`${user.uid}:`)),
  );
}
