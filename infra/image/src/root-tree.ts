import { chmod, mkdir, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { AppError } from "@mayfly/core";

import { rootRecipe } from "./recipe.ts";
import { runTool } from "./run-tool.ts";

const UNPACK_MS = 5 * 60_000;
const CODEX_VENDOR = "package/vendor/x86_64-unknown-linux-musl";

/**
 * Turns the unpacked Debian tree into a machine's root: what is not needed goes, Codex, Node and the user come, and no
 * program is left that gives its caller more rights.
 */
export async function finishTree(options: {
  tree: string;
  nodeTarball: string;
  codexTarball: string;
  signal?: AbortSignal | undefined;
}): Promise<void> {
  const { tree } = options;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  await clean(tree);
  await addUser(tree);
  await addFiles(tree);
  await unpack(
    options.nodeTarball,
    join(tree, "opt/node"),
    ["--strip-components=1", "package/bin/node", "package/LICENSE"],
    signal,
  );
  await unpack(
    options.codexTarball,
    join(tree, "opt/codex"),
    ["--strip-components=3", `--exclude=${CODEX_VENDOR}/codex-resources/voice`, CODEX_VENDOR],
    signal,
  );
  await symlink("/opt/node/bin/node", join(tree, "usr/local/bin/node"));
  await dropSetId(tree, signal);
}

async function clean(tree: string): Promise<void> {
  for (const path of rootRecipe.emptied) {
    const dir = join(tree, path);
    // An absent folder is as empty as can be.
    const entries = await readdir(dir).catch(() => []);
    await Promise.all(entries.map((entry) => rm(join(dir, entry), { recursive: true, force: true })));
  }
  for (const path of [...rootRecipe.removed, "mayfly"]) {
    await rm(join(tree, path), { recursive: true, force: true });
  }
}

/** Nobody logs in to a machine: every password is locked, and none has a date that changes from build to build. */
async function addUser(tree: string): Promise<void> {
  const { name, uid, gid, home } = rootRecipe.user;
  const passwd = await readFile(join(tree, "etc/passwd"), "utf8");
  const group = await readFile(join(tree, "etc/group"), "utf8");
  const users = `${passwd}${name}:x:${uid}:${gid}:Codex:${home}:/bin/bash\n`;
  const groups = `${group}${name}:x:${gid}:\n`;
  await writeFile(join(tree, "etc/passwd"), users);
  await writeFile(join(tree, "etc/group"), groups);
  await writeFile(
    join(tree, "etc/shadow"),
    namesOf(users)
      .map((user) => `${user}:!:1:0:99999:7:::\n`)
      .join(""),
  );
  await writeFile(
    join(tree, "etc/gshadow"),
    namesOf(groups)
      .map((item) => `${item}:!::\n`)
      .join(""),
  );
  await chmod(join(tree, "etc/shadow"), 0o600);
  await chmod(join(tree, "etc/gshadow"), 0o600);
}

function namesOf(table: string): string[] {
  return table
    .trim()
    .split("\n")
    .map((line) => line.split(":")[0] ?? "");
}

async function addFiles(tree: string): Promise<void> {
  const { home } = rootRecipe.user;
  for (const path of ["work", home, `${home}/tmp`, "opt/node", "opt/codex", "opt/mayfly"]) {
    await mkdir(join(tree, path), { recursive: true });
    await chmod(join(tree, path), path === home || path === `${home}/tmp` ? 0o700 : 0o755);
  }
  const files = {
    "etc/hostname": "machine\n",
    "etc/hosts": "127.0.0.1 localhost machine\n",
    "etc/resolv.conf": "",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/fstab": "",
  };
  for (const [path, text] of Object.entries(files)) {
    await rm(join(tree, path), { force: true });
    await mkdir(join(tree, path, ".."), { recursive: true });
    await writeFile(join(tree, path), text);
    await chmod(join(tree, path), 0o644);
  }
  for (const command of rootRecipe.busyboxCommands) {
    await symlink("/bin/busybox", join(tree, "usr/local/bin", command));
  }
}

async function unpack(
  tarball: string,
  dir: string,
  args: readonly string[],
  signal: { signal?: AbortSignal },
): Promise<void> {
  await runTool({
    command: "tar",
    args: ["-xzf", tarball, "-C", dir, "--no-same-owner", "--same-permissions", ...args],
    timeoutMs: UNPACK_MS,
    ...signal,
  });
}

async function dropSetId(tree: string, signal: { signal?: AbortSignal }): Promise<void> {
  await runTool({
    command: "find",
    args: [tree, "-perm", "/6000", "-exec", "chmod", "ug-s", "{}", "+"],
    timeoutMs: UNPACK_MS,
    ...signal,
  });
  const left = await runTool({ command: "find", args: [tree, "-perm", "/6000"], timeoutMs: UNPACK_MS, ...signal });
  if (left !== "") {
    throw new AppError("IMAGE_BUILD_FAILED", `Set-id programs are left: ${left}`);
  }
}

/**
 * Packs a tree into a read-only file system that belongs to root throughout, without extended attributes (so without
 * file capabilities) and without times: equal trees give equal bytes, whoever packs them.
 */
export async function packTree(tree: string, file: string, signal?: AbortSignal): Promise<void> {
  await runTool({
    command: "mkfs.erofs",
    args: [
      "-d0",
      "-x-1",
      // File data on block boundaries: read straight into the page cache.
      "-Enoinline_data",
      "--force-uid=0",
      "--force-gid=0",
      "-T0",
      `-U${rootRecipe.fileSystemId}`,
      file,
      tree,
    ],
    timeoutMs: UNPACK_MS,
    ...(signal === undefined ? {} : { signal }),
  });
}
