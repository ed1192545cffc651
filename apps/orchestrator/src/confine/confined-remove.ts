import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { enterUserNamespace } from "./confine.ts";
import type { ServiceUser } from "./service-user.ts";

/** Removing a big mirror takes seconds; a disk that takes longer is broken. */
const REMOVE_MS = 120_000;

/**
 * Removes a file or folder of the service user whose content may belong to its subordinate uids: `rm -rf` as root of a
 * user namespace that maps them all. Follows no symlinks and crosses no mounts. Idempotent; throws what `rm` said.
 *
 * @param path Absolute.
 */
export async function confinedRemove(user: ServiceUser, path: string): Promise<void> {
  const enter = enterUserNamespace({ uids: user.subuids, gids: user.subgids });
  const remove = ["/usr/bin/rm", "-rf", "--one-file-system", "--", path];
  await promisify(execFile)("/usr/bin/env", ["-i", "PATH=/usr/bin", ...enter, ...remove], {
    timeout: REMOVE_MS,
    killSignal: "SIGKILL",
  });
}
