// Installs what Mayfly needs: npm packages by the lock file, Debian packages by name. Safe to repeat; the second time
// it only looks.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Each Debian package, and a file that shows it is there. */
const debianPackages = {
  "qemu-system-x86": "/usr/bin/qemu-system-x86_64",
  "redis-server": "/usr/bin/redis-server",
  bubblewrap: "/usr/bin/bwrap",
  "busybox-static": "/bin/busybox",
  cpio: "/usr/bin/cpio",
  "erofs-utils": "/usr/bin/mkfs.erofs",
  git: "/usr/bin/git",
  kmod: "/usr/sbin/depmod",
  lz4: "/usr/bin/lz4",
  mmdebstrap: "/usr/bin/mmdebstrap",
  socat: "/usr/bin/socat",
  uidmap: "/usr/bin/newuidmap",
  "xz-utils": "/usr/bin/xz",
  zstd: "/usr/bin/zstd",
};

/** Programs that only the tests need: others' readers of what we write. */
const debianPackagesOfTests = {
  awscli: "/usr/bin/aws",
  binutils: "/usr/bin/objdump",
  dosfstools: "/usr/sbin/fsck.fat",
  fdisk: "/usr/sbin/sfdisk",
  mtools: "/usr/bin/mcopy",
  // The firmware that a disk for EC2 is booted with.
  ovmf: "/usr/share/OVMF/OVMF_CODE_4M.fd",
  nftables: "/usr/sbin/nft",
  systemd: "/usr/bin/systemd-analyze",
};

/** The browser that takes pictures of comments, and letters for it. */
const debianPackagesOfScreens = {
  chromium: "/usr/bin/chromium",
  "fonts-liberation": "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
};

const more = { test: debianPackagesOfTests, screens: debianPackagesOfScreens };

/** Node 24, as a package of the lock file brings it. */
export function nodeBinary() {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  return `${root}/node_modules/node-linux-${arch}/bin/node`;
}

/** Installs the npm packages unless those of this very lock file are there already. Throws with the fix. */
export function ensureNodeModules() {
  const lock = createHash("sha256")
    .update(readFileSync(`${root}/package-lock.json`))
    .digest("hex");
  const stamp = `${root}/node_modules/.mayfly-lock`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock && existsSync(nodeBinary())) {
    return;
  }
  if (process.platform !== "linux") {
    throw new Error("Mayfly runs on Linux; on another system use a Debian 12 machine.");
  }
  console.error("mayfly: installing npm packages (about a minute, once)");
  // Not `npm ci`: it refuses a lock file without the optional packages of other platforms, which not every registry
  // carries. `install --no-save` takes the same locked versions with the same hashes and writes nothing back.
  run("npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    fix: "Run `npm install` and read what it says.",
  });
  writeFileSync(stamp, lock);
}

/**
 * Installs missing Debian packages when root or passwordless sudo is there; otherwise throws the line to type. Those of
 * the command too, if it needs more than the service does.
 */
export function ensureDebianPackages({ alsoFor }) {
  const wanted = { ...debianPackages, ...more[alsoFor] };
  const missing = Object.keys(wanted).filter((name) => !existsSync(wanted[name]));
  if (missing.length === 0) {
    return;
  }
  const byHand = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (!existsSync("/usr/bin/apt-get")) {
    throw new Error(`this needs Debian 12 or programs like its packages ${missing.join(", ")}.`);
  }
  const asRoot = process.getuid() === 0 ? [] : ["sudo", "-n"];
  if (asRoot.length > 0 && spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status !== 0) {
    throw new Error(`Debian packages are missing. As root: ${byHand}`);
  }
  console.error(`mayfly: installing Debian packages: ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const steps = [
    ["apt-get", "update", "-q"],
    ["apt-get", "install", "-y", "-q", "--no-install-recommends", ...missing],
  ];
  for (const step of steps) {
    const [program, ...args] = [...asRoot, ...step];
    run(program, args, { env, fix: `As root: ${byHand}` });
  }
}

function run(program, args, { fix, ...options }) {
  const ended = spawnSync(program, args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024, ...options });
  if (ended.error !== undefined || ended.status !== 0) {
    const said = `${ended.stdout ?? ""}${ended.stderr ?? ""}`.trim().split("\n").slice(-15).join("\n");
    throw new Error(
      `${program} ${args[0]} failed: ${ended.error?.message ?? `exit code ${ended.status}`}\n${said}\n${fix}`,
    );
  }
}
