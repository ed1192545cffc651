import { execFileSync } from "node:child_process";

import { ensureMayflyUser } from "../../infra/setup/mayfly-user.mjs";
import { readServiceUser, type ServiceUser } from "../../apps/orchestrator/src/confine/service-user.ts";

/**
 * For tests, which may be run by root: turns this process into the user `mayfly` for good, as the service does at its
 * start. Started by an ordinary user, it stays that user, who needs subordinate ids.
 */
export async function becomeServiceUser(): Promise<ServiceUser> {
  if (process.getuid?.() === 0) {
    const { name, gid, uid, home } = ensureMayflyUser();
    const groups = execFileSync("id", ["-G", name], { encoding: "utf8" });
    process.setgroups?.(groups.trim().split(" ").map(Number));
    process.setgid?.(gid);
    process.setuid?.(uid);
    process.chdir(home);
  }
  return readServiceUser();
}
