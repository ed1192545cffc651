/** Where things are in the machine. The image is ours, so these are constants and not settings. */
export const places = {
  node: "/opt/node/bin/node",
  codex: "/opt/codex/bin/codex",
  codexPackage: "/opt/codex/codex-package.json",
  busybox: "/bin/busybox",

  cgroups: "/sys/fs/cgroup",
  /** Ours. Others may pass through it to a name they know, not list it. */
  run: "/run/mayfly",
  network: "/run/mayfly/codex.net",
  schema: "/run/mayfly/schema.json",
  /** In the root layer, for /run is too small for it; a folder that only root enters. */
  pack: "/root/source.pack",

  home: "/home/codex",
  /** Not under the temporary folder: the CLI refuses to keep its helpers there. */
  codexHome: "/home/codex/.codex",
  temporary: "/home/codex/tmp",
  /** Beside the repository, so that the CLI's own sandbox keeps tool commands out of it. */
  out: "/home/codex/out",
  lastMessage: "/home/codex/out/last-message.md",
  collectIndex: "/home/codex/out/index",
  work: "/work",
  repository: "/work/repo",
} as const;

/** The user `codex` of the image. */
export const CODEX_UID = 1001;
export const CODEX_GID = 1001;

/** Codex's loopback is its own, so these ports collide with nothing. */
export const RELAY_PORT = 8080;
export const SETUP_PROXY_PORT = 8081;
