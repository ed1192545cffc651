import { createHash } from "node:crypto";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isAppError } from "@mayfly/core";
import { canonicalJson } from "../../../infra/image/src/digest.ts";
import { readLock } from "../../../infra/image/src/lock.ts";
import { imageFiles, type Manifest } from "../../../infra/image/src/manifest.ts";
import { openImage } from "../../../infra/image/src/verify.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const root = new URL("../../..", import.meta.url).pathname;
/** Every file of the image in small: what is looked at is the looking, which does not know sizes. */
const FILE_BYTES = 4_096;
const EXACT = /^\d+\.\d+\.\d+(?:-[0-9a-z.]+)?$/;

export const supplyChain: Row = {
  id: "T40",
  attack:
    "A bit of the machine image is flipped, a library comes in another version, or one runs a script as it is installed.",
  needs: "nothing",
  control: "the unchanged image opens, and a package that is not pinned, not hashed or brings a script is objected to",
  async run(context) {
    const tally = createTally();
    await image(context, tally);
    await lockfile(tally);
    await manifests(tally);
    const lock = await readLock();
    tally.expect(lock.debs.length > 50 && lock.npm.length > 0, "the image's lock is empty");
    return tally.verdict(
      "no changed image opens; every library has its version and its hash, and installs without a script",
    );
  },
};

async function image(context: AttackContext, tally: Tally): Promise<void> {
  const random = context.random("image");
  const { dir, digest } = await makeImage(await context.folder(), () => random.bytes(FILE_BYTES));
  tally.control((await openImage(dir, digest)).digest === digest, "the unchanged image does not open");
  for (let left = context.cases(1_000, 40); left > 0; left--) {
    const name = random.pick([...imageFiles, "manifest.json"]);
    const file = await open(join(dir, name), "r+");
    const { size } = await file.stat();
    const at = random.int(size);
    const bit = 1 << random.int(8);
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    const flip = async () => {
      byte[0] = (byte[0] ?? 0) ^ bit;
      await file.write(byte, 0, 1, at);
    };
    await flip();
    const refusal = await openImage(dir, digest).then(
      () => null,
      (error: unknown) => error,
    );
    tally.expect(
      isAppError(refusal, "IMAGE_INVALID"),
      () => `with bit ${bit} of byte ${at} of ${name} flipped it opens`,
    );
    await flip();
    await file.close();
  }
  tally.control((await openImage(dir, digest)).digest === digest, "the image that was put right does not open");
}

async function makeImage(folder: string, bytes: () => Buffer): Promise<{ dir: string; digest: Digest }> {
  const contents = new Map(imageFiles.map((name) => [name, bytes()]));
  const file = (name: (typeof imageFiles)[number]) => {
    const content = contents.get(name) ?? Buffer.alloc(0);
    return { sha256: hashOf(content), size: content.length };
  };
  const deb = { name: "bash", version: "5.2", sha256: "b".repeat(64) };
  const manifest: Manifest = {
    schema: 1,
    architecture: "x86_64",
    files: { vmlinux: file("vmlinux"), "root.erofs": file("root.erofs"), "initrd.cpio": file("initrd.cpio") },
    kernelRelease: "6.1",
    kernelCommandLine: { accelerated: [], emulated: [] },
    recipe: "1".repeat(64),
    lock: "2".repeat(64),
    agent: "3".repeat(64),
    kernel: deb,
    debs: [deb],
    npm: [],
    substituted: [],
  };
  const text = canonicalJson(manifest);
  const dir = join(folder, hashOf(text));
  await mkdir(dir);
  await writeFile(join(dir, "manifest.json"), text);
  for (const [name, content] of contents) {
    await writeFile(join(dir, name), content);
  }
  return { dir, digest: `sha256:${hashOf(text)}` as Digest };
}

function hashOf(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

interface LockedPackage {
  readonly link?: boolean;
  readonly version?: string;
  readonly integrity?: string;
  /** It lies in the archive of a package above it. */
  readonly inBundle?: boolean;
  readonly hasInstallScript?: boolean;
}

/** Packages that bring a script and work without its having run: it only puts a faster program in place. */
const idleScripts: readonly string[] = ["node_modules/esbuild", "node_modules/msgpackr-extract"];

function faultOf(
  name: string,
  locked: LockedPackage,
  all: Readonly<Record<string, LockedPackage>> = {},
): string | null {
  if (locked.link === true || !name.includes("node_modules/")) {
    return null;
  }
  if (!EXACT.test(locked.version ?? "")) {
    return `${name} has no version`;
  }
  const hashed = locked.inBundle === true ? bringerOf(name, all) : locked;
  if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(hashed?.integrity ?? "")) {
    return `${name} has no hash`;
  }
  return locked.hasInstallScript === true && !idleScripts.includes(name)
    ? `${name} runs a script when it is installed`
    : null;
}

/** The package in whose archive, and so under whose hash, a bundled one came: the nearest above that came by itself. */
function bringerOf(name: string, all: Readonly<Record<string, LockedPackage>>): LockedPackage | undefined {
  const end = name.lastIndexOf("/node_modules/");
  const above = name.slice(0, Math.max(0, end));
  const bringer = all[above];
  return bringer?.inBundle === true ? bringerOf(above, all) : bringer;
}

async function lockfile(tally: Tally): Promise<void> {
  const sound = { version: "1.2.3", integrity: `sha512-${"a".repeat(86)}==` };
  const wrongs: LockedPackage[] = [
    { ...sound, version: "^1.2.3" },
    { version: "1.2.3" },
    { version: "1.2.3", inBundle: true },
    { ...sound, hasInstallScript: true },
  ];
  for (const wrong of wrongs) {
    tally.control(faultOf("node_modules/x", wrong) !== null, `${JSON.stringify(wrong)} is not objected to`);
  }
  const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, LockedPackage>;
  };
  for (const [name, locked] of Object.entries(lock.packages)) {
    const fault = faultOf(name, locked, lock.packages);
    tally.expect(fault === null, fault ?? "");
  }
}

/** Every version is exact, and installing runs nobody's script: neither by npm's settings nor by our own call. */
async function manifests(tally: Tally): Promise<void> {
  const npmrc = await readFile(join(root, ".npmrc"), "utf8");
  tally.expect(/^ignore-scripts=true$/m.test(npmrc), ".npmrc does not switch scripts off");
  const install = await readFile(join(root, "infra/setup/install.mjs"), "utf8");
  tally.expect(install.includes('"--ignore-scripts"'), "the installation does not switch scripts off");
  const folders = ["", "packages/core", "apps/agent", "apps/orchestrator", "infra/image", "infra/cdk", "test"];
  for (const folder of folders) {
    const manifest = JSON.parse(await readFile(join(root, folder, "package.json"), "utf8")) as Record<string, unknown>;
    for (const kind of ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"]) {
      for (const [name, version] of Object.entries((manifest[kind] ?? {}) as Record<string, string>)) {
        tally.expect(EXACT.test(version), () => `${folder}/package.json asks for ${name} ${version}`);
      }
    }
  }
}
