import { execFile } from "node:child_process";
import { access, constants, readFile } from "node:fs/promises";
import { promisify } from "node:util";

import { isAppError } from "@mayfly/core";

import { createConfine } from "./confine.ts";
import { readServiceUser, type ServiceUser } from "./service-user.ts";
import { uidOffsets } from "./uid-offsets.ts";

/** Something that keeps this host from confining processes, and what to do about it. */
export interface ConfinementGap {
  readonly missing: string;
  readonly fix: string;
}

/** Programs that confinement runs, and the Debian packages they come in. */
const PROGRAMS = {
  "/usr/bin/unshare": "util-linux",
  "/usr/bin/setpriv": "util-linux",
  "/usr/bin/prlimit": "util-linux",
  "/usr/bin/timeout": "coreutils",
  "/usr/bin/bwrap": "bubblewrap",
  "/usr/bin/newuidmap": "uidmap",
  "/usr/bin/newgidmap": "uidmap",
} as const;

/** Kernel switches that forbid unprivileged user namespaces: the value that does, and the setting that allows them. */
const SWITCHES = [
  { file: "/proc/sys/user/max_user_namespaces", forbids: "0", fix: "sysctl user.max_user_namespaces=16384" },
  {
    file: "/proc/sys/kernel/unprivileged_userns_clone",
    forbids: "0",
    fix: "sysctl kernel.unprivileged_userns_clone=1",
  },
  {
    file: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    forbids: "1",
    fix: "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
  },
] as const;

/** A confined `true` takes 30 ms. */
const TRIAL_MS = 10_000;
const TRIAL_OFFSET = uidOffsets.probe.first + uidOffsets.probe.count - 1;

/**
 * What keeps the present user from confining processes on this host; empty when a confined process really ran. Looks for
 * each known cause first, so that the answer names it with its fix.
 */
export async function checkConfinement(): Promise<ConfinementGap[]> {
  const [programs, switches, user] = await Promise.all([findPrograms(), findSwitches(), findUser()]);
  const gaps = [...programs, ...switches];
  if ("missing" in user) {
    return [...gaps, user];
  }
  return gaps.length > 0 ? gaps : tryOut(user);
}

async function findPrograms(): Promise<ConfinementGap[]> {
  const gaps = await Promise.all(
    Object.entries(PROGRAMS).map(async ([program, pack]) =>
      (await isExecutable(program)) ? [] : [{ missing: `program ${program}`, fix: `apt-get install ${pack}` }],
    ),
  );
  return gaps.flat();
}

async function findSwitches(): Promise<ConfinementGap[]> {
  const gaps = await Promise.all(
    SWITCHES.map(async ({ file, forbids, fix }) => {
      const value = await readFile(file, "utf8").catch(() => "");
      return value.trim() === forbids ? [{ missing: `unprivileged user namespaces (${file} is ${forbids})`, fix }] : [];
    }),
  );
  return gaps.flat();
}

async function findUser(): Promise<ServiceUser | ConfinementGap> {
  try {
    return await readServiceUser();
  } catch (error) {
    if (isAppError(error)) {
      return { missing: "an ordinary user with subordinate ids", fix: error.message };
    }
    throw error;
  }
}

async function tryOut(user: ServiceUser): Promise<ConfinementGap[]> {
  const { command, args } = createConfine(user)(
    { uidOffset: TRIAL_OFFSET, network: "none", binds: [], env: {}, limits: { seconds: TRIAL_MS / 1000 } },
    ["/usr/bin/true"],
  );
  try {
    await promisify(execFile)(command, args, { cwd: "/", timeout: TRIAL_MS, killSignal: "SIGKILL" });
    return [];
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    return [{ missing: `a confined process (${said})`, fix: "Allow unprivileged user namespaces on this host." }];
  }
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
