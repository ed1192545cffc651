import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { AppError } from "@mayfly/core";

/** flock's own exit code when somebody else holds the lock. */
const TAKEN = 75;

/**
 * Takes the state folder for this process alone. The lock is the kernel's (flock), held by a child that ends when we do,
 * so that a crash leaves nothing stale. Throws STATE_IN_USE.
 *
 * @returns Gives it back.
 */
export async function lockStateFolder(folder: string): Promise<() => Promise<void>> {
  // Whoever may read a file may lock it. A folder that is not there is flock's to complain about.
  await writeFile(`${folder}/lock`, "", { flag: "a" })
    .then(() => chmod(`${folder}/lock`, 0o600))
    .catch(() => undefined);
  const child = spawn(
    "flock",
    ["--nonblock", "--conflict-exit-code", String(TAKEN), `${folder}/lock`, "sh", "-c", "echo held; exec cat"],
    {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    },
  );
  // The child holds the lock until its standard input closes: at our end, whatever that looks like.
  const held = await Promise.race([
    once(child.stdout, "data").then(() => true),
    once(child, "exit").then(([code]) => {
      if (code === TAKEN) {
        throw new AppError("STATE_IN_USE", `another Mayfly works on the state folder ${folder}`);
      }
      return false;
    }),
  ]);
  if (!held) {
    throw new AppError("STATE_IN_USE", `the state folder ${folder} could not be locked`);
  }
  child.unref();
  return async () => {
    const ended = once(child, "exit");
    child.stdin.end();
    await ended;
  };
}
