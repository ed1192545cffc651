import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { readServiceUser, type SubordinateRange } from "../../confine/service-user.ts";

/** The processes that have some text in the two places that others can read. */
export interface ProcessesFound {
  readonly commands: string[];
  readonly environments: string[];
}

/** Looks into every process that this user may look into, those it has confined among them. */
export async function processesWith(text: string): Promise<ProcessesFound> {
  const { subuids } = await readServiceUser();
  const found: ProcessesFound = { commands: [], environments: [] };
  for (const pid of (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
    if (command.includes(text)) {
      found.commands.push(pid);
    }
    if ((await readEnvironment(pid, subuids)).includes(text)) {
      found.environments.push(pid);
    }
  }
  return found;
}

async function readEnvironment(pid: string, subuids: SubordinateRange): Promise<string> {
  const file = `/proc/${pid}/environ`;
  try {
    return await readFile(file, "latin1");
  } catch {
    const status = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
    const uid = Number(/^Uid:\t([0-9]+)/m.exec(status)?.[1] ?? 0);
    if (uid < subuids.first || uid >= subuids.first + subuids.count) {
      return "";
    }
  }
  // A confined process shows its environment to root of its own user namespace only.
  const { stdout } = await promisify(execFile)("nsenter", ["--user", "--target", pid, "cat", file], {
    encoding: "latin1",
  }).catch(() => ({ stdout: "" }));
  return stdout;
}
