import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { AppError, type Instant } from "@mayfly/core";
import { type Authority, createAuthority } from "./authority.ts";
import { makeCertificate } from "./certificate.ts";
import { pinOfKey, spkiOf } from "./machine-key.ts";

/** What the broker's door for machines is known by, and what it knows machines by. */
export interface DoorKeys {
  /** PEM, of the server: its key, and a certificate that only carries it. */
  readonly server: { readonly key: string; readonly certificate: string };
  readonly authority: Authority;
  /** Of the present key and of the next: what an image is given as `mayfly.pins`. */
  readonly pins: readonly [string, string];
}

/** A key is 241 bytes; a person's file may have words around it. */
const KEY_BYTES_MAX = 16 * 1024;
/** Another broker may be writing one now, which takes milliseconds. */
const HALF_MS_MAX = 60 * 60_000;
const HALF = ".half";
/** Nobody looks at when the server's certificate ends: the pin is what counts. */
const SERVER_MS = 10 * 365 * 24 * 60 * 60 * 1000;

/**
 * The keys of a state folder, made where there are none: `server.key`, `next.key` and `authority.key`, each a private key
 * on P-256 in PEM that only the broker's user can read. Several brokers have one folder, on a file system that they
 * share: whichever is first makes a key, and the others take it. `pins` is written for whoever builds images. Idempotent.
 * Throws CONFIG_INVALID.
 *
 * To change the server's key, let no machine of an image be left that does not know `next.key`, then stop all brokers,
 * move `next.key` over `server.key` and start them again: they make a new `next.key`, and images built from then on pin
 * the two. One change for each image, so no machine ever meets a key it does not know. A new `authority.key` ends
 * every machine there is.
 *
 * The change is for a `server.key` that leaked by itself. `next.key` lies beside it, so whoever had the broker's user or
 * its disk has both: then only images with pins of newly made keys help.
 */
export async function loadDoorKeys(folder: string, now: Instant): Promise<DoorKeys> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await removeHalves(folder, now);
  const server = await loadKey(`${folder}/server.key`);
  const next = await loadKey(`${folder}/next.key`);
  const authority = await loadKey(`${folder}/authority.key`);
  const pins = [pinOfKey(createPublicKey(server)), pinOfKey(createPublicKey(next))] as const;
  await keepPins(`${folder}/pins`, `${pins.join(",")}\n`);
  const certificate = makeCertificate({
    key: spkiOf(createPublicKey(server)),
    subject: "Mayfly broker",
    issuer: "Mayfly broker",
    from: now,
    until: now + SERVER_MS,
    signedWith: server,
  });
  return { server: { key: pemOf(server), certificate }, authority: createAuthority(authority), pins };
}

async function loadKey(file: string): Promise<KeyObject> {
  let text = await readKey(file);
  if (text === null) {
    await makeKey(file);
    text = (await readKey(file)) ?? "";
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `${file} is no private key`, { cause });
  }
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new AppError("CONFIG_INVALID", `${file} is not a key on P-256`);
  }
  return key;
}

/** Null where there is none. */
async function readKey(file: string): Promise<string | null> {
  let handle;
  try {
    handle = await open(file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return null;
    }
    throw new AppError("CONFIG_INVALID", `${file} cannot be read`, { cause: error });
  }
  try {
    const { mode, size } = await handle.stat();
    if ((mode & 0o077) !== 0 || size > KEY_BYTES_MAX) {
      throw new AppError("CONFIG_INVALID", `${file} must be a key, and nobody else may read it (mode 0600)`);
    }
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

/** Makes one unless another broker was faster: a link is made once, and to a whole file. */
async function makeKey(file: string): Promise<void> {
  const half = await writeAside(file, pemOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey), 0o600);
  try {
    await link(half, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw error;
    }
  } finally {
    await rm(half, { force: true });
  }
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** What a broker that was killed has left is a copy of a key: a change of the keys would leave it behind. */
async function removeHalves(folder: string, now: Instant): Promise<void> {
  // A folder that is not ours to read is said of its keys.
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((found) => found.endsWith(HALF))) {
    const file = `${folder}/${name}`;
    const found = await stat(file).catch(() => null);
    if (found !== null && found.mtimeMs < now - HALF_MS_MAX) {
      await rm(file, { force: true });
    }
  }
}

async function keepPins(file: string, text: string): Promise<void> {
  if ((await readFile(file, "utf8").catch(() => "")) !== text) {
    await rename(await writeAside(file, text, 0o644), file);
  }
}

/** Under a name of its own: brokers of several hosts may be at it at once. On disk when this returns. */
async function writeAside(file: string, text: string, mode: number): Promise<string> {
  const half = `${file}.${randomUUID()}${HALF}`;
  const handle = await open(half, "wx", mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return half;
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
