import { chownSync, readFileSync } from "node:fs";
import { AppError } from "@mayfly/core";

/** The user that a service started as root becomes. */
const SERVICE_USER = "mayfly";

/** An account of this host. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Looks an account up in /etc/passwd (passwd(5)). */
function findAccount(who: { name: string } | { uid: number }): Account | null {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name, , uid, gid, , home] = line.split(":");
    if (name !== undefined && home !== undefined && ("name" in who ? name === who.name : Number(uid) === who.uid)) {
      return { name, uid: Number(uid), gid: Number(gid), home };
    }
  }
  return null;
}

/**
 * Started as root, the process becomes the service user for good before it listens anywhere, and hands over the named
 * folders. Started as anybody else it stays who it is.
 *
 * @returns Who it is now. Throws TOOLS_MISSING if there is no service user.
 */
export function dropRoot(folders: readonly string[]): Account {
  const uid = process.getuid?.() ?? -1;
  if (uid !== 0) {
    return findAccount({ uid }) ?? { name: String(uid), uid, gid: process.getgid?.() ?? -1, home: "/" };
  }
  const account = findAccount({ name: SERVICE_USER });
  if (account === null) {
    throw new AppError(
      "TOOLS_MISSING",
      `started as root, Mayfly becomes the user ${SERVICE_USER}, and there is none: npm run demo makes it, or useradd --system ${SERVICE_USER}`,
    );
  }
  for (const folder of folders) {
    chownSync(folder, account.uid, account.gid);
  }
  // With it come its groups: kvm, where the host has it.
  process.setgroups?.(groupsOf(account));
  process.setgid?.(account.gid);
  process.setuid?.(account.uid);
  return account;
}

/** The groups of an account (group(5)). */
function groupsOf(account: Account): number[] {
  const listed = readFileSync("/etc/group", "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, , gid, members] = line.split(":");
      return members?.split(",").includes(account.name) === true ? [Number(gid)] : [];
    });
  return [account.gid, ...listed];
}
