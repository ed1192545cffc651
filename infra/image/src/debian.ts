import { mkdir, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { AppError } from "@mayfly/core";

import { hashFile } from "./digest.ts";
import { type Deb, debSchema, type ImageLock } from "./lock.ts";
import { rootRecipe } from "./recipe.ts";
import { runTool } from "./run-tool.ts";

/** Half a minute on a quiet machine with a near mirror; the rest is for neither. */
const DEBIAN_MS = 20 * 60_000;
/** Unpacking 160 MB. */
const UNPACK_MS = 5 * 60_000;

/** Only Debian's own key signs what goes into an image, whatever the host trusts besides. */
export const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

export interface DebianResult {
  /** The unpacked installation; nothing in it is set-user-id. */
  readonly tree: string;
  /** The kernel's package. */
  readonly kernelDeb: string;
  readonly kernel: Deb;
  /** The boot stub's package. */
  readonly bootStubDeb: string;
  readonly bootStub: Deb;
  readonly debs: readonly Deb[];
}

/**
 * Installs the recipe's Debian packages with mmdebstrap (real root inside a chroot for root, user namespaces for
 * everyone else) and unpacks them under `workDir`. Locked versions are pinned; where the archive no longer serves one,
 * apt takes the current one, signed like the others, and the result says so.
 *
 * @param options.lock null takes the archive's current versions.
 * @throws AppError IMAGE_BUILD_FAILED
 */
export async function installDebian(options: {
  workDir: string;
  lock: ImageLock | null;
  isRoot: boolean;
  signal?: AbortSignal | undefined;
}): Promise<DebianResult> {
  const { workDir, lock, isRoot } = options;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const tar = join(workDir, "debian.tar");
  const sources = await listSources(signal);
  const [command, ...prefix] = isRoot ? [...CONTAINED, "mmdebstrap"] : ["mmdebstrap"];
  await runTool({
    command,
    args: [
      ...prefix,
      `--mode=${isRoot ? "root" : "unshare"}`,
      "--quiet",
      "--variant=essential",
      `--architectures=${rootRecipe.architecture}`,
      `--include=${rootRecipe.packages.join(",")}`,
      ...rootRecipe.dpkgOptions.map((option) => `--dpkgopt=${option}`),
      ...(await listProxyOptions(signal)),
      `--setup-hook=${PIN_HOOK}`,
      `--customize-hook=${COLLECT_HOOK}`,
      "--format=tar",
      rootRecipe.suite,
      tar,
      // Without sources of the host's own, mmdebstrap knows Debian's.
      ...(sources === "" ? [] : ["-"]),
    ],
    stdin: sources,
    env: {
      SOURCE_DATE_EPOCH: String(rootRecipe.sourceDateEpoch),
      MAYFLY_PINS: lock === null ? "" : formatPins([lock.kernel, lock.bootStub, ...lock.debs]),
      MAYFLY_KERNEL: lock === null ? "" : lock.kernel.name,
      MAYFLY_KERNEL_META: rootRecipe.kernelPackage,
      MAYFLY_BOOT_STUB: rootRecipe.bootStub.package,
      // In a user namespace another uid works there, which may not enter the cache; the default is /tmp.
      ...(isRoot ? { TMPDIR: workDir } : {}),
    },
    timeoutMs: DEBIAN_MS,
    endWith: isRoot ? "KILL" : "TERM",
    ...signal,
  });
  const tree = join(workDir, "tree");
  await mkdir(tree, { mode: 0o755 });
  await runTool({
    command: "tar",
    args: ["-xf", tar, "-C", tree, "--no-same-owner", "--same-permissions", "--exclude=./dev/*"],
    timeoutMs: UNPACK_MS,
    ...signal,
  });
  return { tree, ...(await readCollected(join(tree, "mayfly"))) };
}

/**
 * For root: mounts that nobody else sees, and processes that all end with the first. Other users get both from
 * mmdebstrap itself, which must be left to tidy up: only it may remove what it made under other uids.
 */
const CONTAINED = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"] as const;

/** Pins have more weight than any other preference, so a locked version also replaces a newer one. */
function formatPins(debs: readonly Deb[]): string {
  return debs.map(({ name, version }) => `Package: ${name}\nPin: version ${version}\nPin-Priority: 1001\n`).join("\n");
}

const PIN_HOOK = `mkdir -p "$1/etc/apt/preferences.d" && printf %s "$MAYFLY_PINS" > "$1/etc/apt/preferences.d/mayfly"`;

/**
 * Runs outside the new root with the new root's apt: fetches what is unpacked and not installed, the packages of the
 * kernel and of the boot stub, which apt checks as it checks all, and writes down what is installed with the hashes of the signed index.
 */
const COLLECT_HOOK = `set -eu
out="$1/mayfly"
mkdir "$out"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
kernel="$MAYFLY_KERNEL"
if [ -z "$kernel" ] || ! apt-cache show "$kernel" > /dev/null 2>&1; then
  kernel=$(apt-cache depends "$MAYFLY_KERNEL_META" | sed -n 's/^ *Depends: \\(linux-image-[a-z0-9.+-]*\\)$/\\1/p' | head -n 1)
fi
cd "$out"
for package in "$kernel" "$MAYFLY_BOOT_STUB"; do
  apt-get -q -o APT::Sandbox::User=root download "$package" >&2
  dpkg-deb --show --showformat '\${Package}=\${Version}\\n' "./\${package}_"*.deb
done > unpacked
dpkg-query --admindir="$1/var/lib/dpkg" --show --showformat '\${Package}=\${Version}\\n' > installed
cat unpacked installed | xargs apt-cache show > index`;

async function readCollected(dir: string): Promise<Omit<DebianResult, "tree">> {
  const [index, installed, unpacked, files] = await Promise.all([
    readFile(join(dir, "index"), "utf8"),
    readFile(join(dir, "installed"), "utf8"),
    readFile(join(dir, "unpacked"), "utf8"),
    readdir(dir),
  ]);
  const known = parseIndex(index);
  function find(line: string): Deb {
    const deb = known.get(line);
    if (deb === undefined) {
      throw new AppError("IMAGE_BUILD_FAILED", `The archive's index does not know ${line}`);
    }
    return deb;
  }
  async function findFile({ name, sha256 }: Deb): Promise<string> {
    const path = join(dir, files.find((file) => file.startsWith(`${name}_`) && file.endsWith(".deb")) ?? "");
    if ((await hashFile(path)) !== sha256) {
      throw new AppError("IMAGE_BUILD_FAILED", `${name} is not what the archive's index says`);
    }
    return path;
  }
  const [kernelLine = "", stubLine = ""] = unpacked.trim().split("\n");
  const [kernel, bootStub] = [find(kernelLine), find(stubLine)];
  const debs = installed.trim().split("\n").map(find);
  return { kernelDeb: await findFile(kernel), kernel, bootStubDeb: await findFile(bootStub), bootStub, debs };
}

/** The stanzas of `apt-cache show`, by `name=version`. */
export function parseIndex(index: string): Map<string, Deb> {
  const debs = new Map<string, Deb>();
  for (const stanza of index.split(/\n\n+/)) {
    const name = /^Package: (.+)$/m.exec(stanza)?.[1];
    const version = /^Version: (.+)$/m.exec(stanza)?.[1];
    const hash = /^SHA256: (.+)$/m.exec(stanza)?.[1];
    // The installed status is shown too; it has no hash.
    if (hash !== undefined) {
      const deb = debSchema.parse({ name, version, sha256: hash });
      debs.set(`${deb.name}=${deb.version}`, deb);
    }
  }
  return debs;
}

/** The host's own sources of the suite, so that its mirror is used; empty when it has none. */
async function listSources(signal: { signal?: AbortSignal }): Promise<string> {
  const targets = await runTool({
    command: "apt-get",
    args: ["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
    timeoutMs: UNPACK_MS,
    ...signal,
  });
  const lines = targets
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, release, component]) => component === "main" && isSection(release))
    .map(([uri, release]) => `deb [signed-by=${debianKeyring}] ${uri} ${release} main\n`);
  const hasSuite = lines.some((line) => line.includes(` ${rootRecipe.suite} main`));
  return hasSuite ? [...new Set(lines)].join("") : "";
}

function isSection(release: string | undefined): boolean {
  return rootRecipe.sections.some((section) => section === release);
}

/** How this host reaches its archives; nothing else of its settings is taken over. */
async function listProxyOptions(signal: { signal?: AbortSignal }): Promise<string[]> {
  const dump = await runTool({ command: "apt-config", args: ["dump", "Acquire"], timeoutMs: UNPACK_MS, ...signal });
  return dump
    .split("\n")
    .filter((line) => /^Acquire::https?(?:::[^"\s]+)?::Proxy "[^"]+";$/.test(line))
    .map((line) => `--aptopt=${line}`);
}
