import { AppError } from "@mayfly/core";

import type { Confine, Confinement } from "./confinement.ts";
import type { ServiceUser, SubordinateRange } from "./service-user.ts";

/** The ids inside: 0 is the service user and only sets mounts up and keeps the deadline, 1 is the confined process. */
const INNER_ID = 1;
/** Scratch space in memory; whatever needs more is given a folder. */
const TMP_BYTES = 64 * 1024 * 1024;
/** What inner root keeps: to become `INNER_ID` without a way back, and to kill it at the deadline. */
const CAPABILITIES_KEPT = ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"];
/** With the host's network come the files that name resolution and TLS need, where they exist. */
const NETWORK_FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/ca-certificates"];

/**
 * A constant script, run as inner root before anything else: no further user namespaces below this one, so that the
 * confined process can never get at the kernel's privileged code paths.
 */
const FORBID_USER_NAMESPACES = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"';

/**
 * Confinement by user, mount, pid, ipc, uts, cgroup and (network `none`) network namespaces, a subordinate uid, no
 * capabilities, no_new_privs and resource limits. Needs util-linux 2.38, bubblewrap, coreutils, uidmap; no privileges.
 * The returned function throws CONFIG_INVALID when the offset is outside the user's range.
 */
export function createConfine(user: ServiceUser): Confine {
  return (confinement, argv) => ({
    command: "/usr/bin/env",
    args: [
      ["-i", "PATH=/usr/bin"],
      enterUserNamespace({
        uids: subordinate(user.subuids, confinement.uidOffset),
        gids: subordinate(user.subgids, confinement.uidOffset),
      }),
      ["/bin/sh", "-c", FORBID_USER_NAMESPACES, "sh"],
      isolate(confinement),
      dropPrivileges(confinement),
      argv,
    ].flat(),
  });
}

/**
 * The argv of whatever follows as root of a new user namespace in which the service user is 0 and `ids` begin at 1. The
 * process forks: it waits as the parent, and its death by any cause ends the child.
 */
export function enterUserNamespace(ids: { uids: SubordinateRange; gids: SubordinateRange }): string[] {
  return [
    "/usr/bin/unshare",
    "--user",
    "--map-root-user",
    "--setgroups=allow",
    `--map-users=${ids.uids.first},${INNER_ID},${ids.uids.count}`,
    `--map-groups=${ids.gids.first},${INNER_ID},${ids.gids.count}`,
    "--fork",
    "--kill-child",
    "--",
  ];
}

function subordinate(range: SubordinateRange, offset: number): SubordinateRange {
  if (!Number.isInteger(offset) || offset < 0 || offset >= range.count) {
    throw new AppError("CONFIG_INVALID", `subordinate id ${offset} is outside the user's range of ${range.count}`);
  }
  return { first: range.first + offset, count: 1 };
}

function isolate({ network, binds, env, devices = [] }: Confinement): string[] {
  return [
    ["/usr/bin/bwrap", "--die-with-parent", "--new-session"],
    ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"],
    network === "none" ? ["--unshare-net"] : [],
    ["--cap-drop", "ALL"],
    CAPABILITIES_KEPT.flatMap((capability) => ["--cap-add", capability]),
    ["--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"],
    ["--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin"],
    ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", String(TMP_BYTES), "--tmpfs", "/tmp"],
    network === "host" ? NETWORK_FILES.flatMap((file) => ["--ro-bind-try", file, file]) : [],
    devices.flatMap((device) => ["--dev-bind", device, device]),
    binds.flatMap(({ from, to, mode }) => [mode === "rw" ? "--bind" : "--ro-bind", from, to]),
    ["--chdir", "/", "--clearenv"],
    Object.entries(env).flatMap(([name, value]) => ["--setenv", name, value]),
    ["--"],
  ].flat();
}

/** The deadline is kept by inner root, beside the confined process in its pid namespace and out of its reach. */
function dropPrivileges({ limits, devices = [] }: Confinement): string[] {
  return [
    ["/usr/bin/timeout", "--signal=KILL", String(Math.max(1, Math.ceil(limits.seconds)))],
    ["/usr/bin/prlimit", "--core=0", ...rlimits(limits)],
    ["/usr/bin/setpriv", `--reuid=${INNER_ID}`, `--regid=${INNER_ID}`],
    [devices.length > 0 ? "--keep-groups" : "--clear-groups", "--no-new-privs"],
    ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--"],
  ].flat();
}

function rlimits(limits: Confinement["limits"]): string[] {
  return Object.entries({
    as: limits.addressSpaceBytes,
    nproc: limits.processes,
    nofile: limits.openFiles,
    fsize: limits.fileBytes,
  }).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
}
