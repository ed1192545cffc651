import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { cachePaths, defaultCacheDir } from "../../../../infra/image/src/cache.ts";
import type { DumpAnswer, DumpRequest } from "../../../support/dumpable-service.ts";
import { processesNaming } from "../../../support/service.ts";
import type { TestWorld } from "../../../support/world.ts";
import type { AttackContext } from "../../row.ts";
import { createScanner, type Finding, type Secret } from "../../secret-scan.ts";
import type { Tally } from "../../tally.ts";
import type { Battery } from "./battery.ts";
import { markOf } from "./planted.ts";

const MEMORY_BYTES_MIN = 512 * 1024 * 1024;

/** What was found of credentials, of planted values and of the other run's mark, and where. */
export interface Scan {
  readonly memoryBytes: number;
  readonly inMemory: readonly Finding[];
  /** Files of the image and of the machine's folder, and what the host tells of its processes. */
  readonly elsewhere: readonly { readonly where: string; readonly found: readonly Finding[] }[];
}

const scans = new WeakMap<Battery, Promise<Scan>>();

/**
 * Looks through all of the machine's memory, which is its disk too, through every file it could read and through what
 * the host tells of its processes, for every credential there is, in every form. Once for each run, while it is alive.
 */
export function scanOf(context: AttackContext, battery: Battery): Promise<Scan> {
  const known = scans.get(battery) ?? scan(context, battery);
  scans.set(battery, known);
  return known;
}

/** The name under which a scan finds the mark of the run that came before. */
export const OTHER_MARK = "the first run's mark";

async function scan(context: AttackContext, battery: Battery): Promise<Scan> {
  const { world, machine, planted, who } = battery;
  const dump = join(world.stateDir, `memory-${machine}.dump`);
  const remove = context.atEnd(() => rm(dump, { force: true }));
  const other = who === "root" ? [{ name: OTHER_MARK, value: markOf(context, "codex") }] : [];
  const scanner = createScanner([...credentialsOf(world), ...other, ...planted]);
  await dumpMemory(world, { machine, toFile: dump });
  const { size: memoryBytes } = await stat(dump);
  const inMemory = await scanner.scanFile(dump);
  await remove();
  const files = [...(await filesUnder(imageOf(world))), ...(await filesUnder(join(world.stateDir, "machines")))];
  const elsewhere: Scan["elsewhere"][number][] = [];
  for (const where of files) {
    elsewhere.push({ where, found: await scanner.scanFile(where) });
  }
  const processes = await processesNaming(machine);
  for (const where of processes.flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])) {
    const bytes = await readFile(where).catch(() => Buffer.alloc(0));
    elsewhere.push({ where, found: await scanner.scan([bytes]) });
  }
  return { memoryBytes, inMemory, elsewhere };
}

/** Nothing but what was planted, and all of that. */
export function expectOnlyPlanted(tally: Tally, { memoryBytes, inMemory, elsewhere }: Scan, battery: Battery): void {
  const { planted } = battery;
  tally.control(memoryBytes > MEMORY_BYTES_MIN, `the machine's memory has ${memoryBytes} bytes`);
  tally.control(elsewhere.length > 8, `${elsewhere.length} places can be read`);
  const isPlanted = ({ name }: Finding) => planted.some((one) => one.name === name);
  const strange = inMemory.filter((one) => !isPlanted(one) && one.name !== OTHER_MARK);
  tally.equal(strange, [], "credentials in the machine's memory");
  for (const { where, found } of elsewhere) {
    tally.equal(found, [], `credentials in ${where}`);
  }
  for (const { name, forms } of planted) {
    const seen = inMemory.filter((one) => one.name === name).map(({ form }) => form);
    for (const form of forms) {
      tally.control(seen.includes(form), `${name} was not found in the form ${form}, only in ${seen.join(", ")}`);
    }
  }
}

/** All that must never be in a machine: the operator's, the App's, and every token that GitHub has minted by now. */
function credentialsOf({ github, modelKey }: TestWorld): Secret[] {
  const pem = github.privateKeyPem ?? "";
  const { d = "", p = "", q = "" } = createPrivateKey(pem).export({ format: "jwk" });
  return [
    { name: "model key", value: modelKey },
    { name: "webhook secret", value: github.webhookSecret },
    { name: "private key", value: pem.split("\n").slice(1, -2).join("\n") },
    ...[d, p, q].map((value, index) => ({ name: `private key's number ${index}`, value })),
    ...github.tokens().map(({ token }, index) => ({
      name: `token ${index}`,
      // What comes before it says what kind of token it is, and is no secret.
      value: token.slice(token.lastIndexOf(".") + 1),
    })),
  ];
}

async function dumpMemory({ service }: TestWorld, request: DumpRequest): Promise<void> {
  const child = service().process;
  child.send(request);
  const [{ fault }] = (await once(child, "message")) as [DumpAnswer];
  if (fault !== null) {
    throw new Error(`the memory could not be written out: ${fault}`);
  }
}

/** The folder of the image that the service's machines boot. */
export function imageOf({ service }: TestWorld): string {
  const { uid, homedir: home } = userInfo();
  return cachePaths(defaultCacheDir({ uid, home })).image(service().addresses.image.replace("sha256:", ""));
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}
