import { createPrivateKey, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { cachePaths, defaultCacheDir } from "../../infra/image/src/cache.ts";
import { run, say, stall } from "../fakes/model/script.ts";
import type { DumpAnswer, DumpRequest } from "../support/dumpable-service.ts";
import { processesNaming } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { RUN_MS, startRun } from "./scene.ts";
import { createScanner, type Finding, type Secret } from "./secret-scan.ts";

const entry = fileURLToPath(new URL("../support/dumpable-service.ts", import.meta.url));
/** A GiB of memory is dumped and read in some ten seconds. */
const TEST_MS = 600_000;
const MEMORY_BYTES_MIN = 512 * 1024 * 1024;

/** Values that are in the machine, so that the scan can be seen to find what is there. */
interface Planted {
  readonly inFile: string;
  readonly inPrompt: string;
  /** Only in other forms. */
  readonly encoded: string;
}

let world: TestWorld | null = null;
let dump: string | null = null;

afterEach(async () => {
  await rm(dump ?? "", { force: true });
  dump = null;
  await world?.close();
  world = null;
}, TEST_MS);

it(
  "finds no credential in a working machine's memory, nor on anything it could read, though it finds what was planted",
  async () => {
    const planted = { inFile: secret(), inPrompt: secret(), encoded: secret() };
    // The first command is over, so Codex has read the file; the second answer never comes.
    const script = [run("cat README.md src/data.txt"), stall({ afterEvents: 2 }), say("never")];
    const here = (world = await startWorld({ script, entry }));
    const { id } = await startRun(here, {
      prompt: `Review this: ${planted.inPrompt}`,
      head: { "src/data.txt": [planted.inFile, ...disguises(planted.encoded), ""].join("\n") },
    });
    const { run: seen } = await here.control.waitFor(id, (view) => view.run.modelCalls >= 2, RUN_MS);
    expect(seen.phase).toBe("running");
    const machine = seen.phase === "running" ? seen.attempt.machine : "";

    dump = join(here.stateDir, "memory.dump");
    await dumpMemory(here, { machine, toFile: dump });
    expect((await stat(dump)).size).toBeGreaterThan(MEMORY_BYTES_MIN);

    const scanner = createScanner([...(await credentials(here)), ...controls(planted)]);
    const found = await scanner.scanFile(dump);
    expect(found.filter(({ name }) => !name.startsWith("planted"))).toEqual([]);
    expect(formsOf(found, "planted in a file")).toContain("raw");
    expect(formsOf(found, "planted in the prompt")).toContain("raw");
    expect(formsOf(found, "planted in disguise")).toEqual(
      expect.arrayContaining(["base64+0", "base64+1", "base64+2", "hex", "percent", "reversed"]),
    );

    const readable = [...(await filesUnder(imageOf(here))), ...(await filesUnder(join(here.stateDir, "machines")))];
    expect(readable.length).toBeGreaterThan(4);
    for (const path of readable) {
      expect([path, await scanner.scanFile(path)]).toEqual([path, []]);
    }
    for (const pid of await processesNaming(machine)) {
      for (const file of ["cmdline", "environ"]) {
        const bytes = await readFile(`/proc/${pid}/${file}`).catch(() => Buffer.alloc(0));
        expect([file, await scanner.scan([bytes])]).toEqual([file, []]);
      }
    }
  },
  TEST_MS,
);

function secret(): string {
  return `planted-${randomBytes(30).toString("base64url")}`;
}

/** All that must never be in a machine: the operator's, the App's, and every token that GitHub has minted by now. */
async function credentials({ github, modelKey }: TestWorld): Promise<Secret[]> {
  const tokens = github.tokens();
  expect(tokens.length).toBeGreaterThan(0);
  const pem = github.privateKeyPem ?? "";
  const { d = "", p = "", q = "" } = createPrivateKey(pem).export({ format: "jwk" });
  return [
    { name: "model key", value: modelKey },
    { name: "webhook secret", value: github.webhookSecret },
    { name: "private key", value: pem.split("\n").slice(1, -2).join("\n") },
    ...[d, p, q].map((value, index) => ({ name: `private key's number ${index}`, value })),
    ...tokens.map(({ token }, index) => ({
      name: `token ${index}`,
      // What comes before it says what kind of token it is, and is no secret.
      value: token.slice(token.lastIndexOf(".") + 1),
    })),
  ];
}

function controls({ inFile, inPrompt, encoded }: Planted): Secret[] {
  return [
    { name: "planted in a file", value: inFile },
    { name: "planted in the prompt", value: inPrompt },
    { name: "planted in disguise", value: encoded },
  ];
}

function formsOf(found: readonly Finding[], name: string): string[] {
  return found.filter((one) => one.name === name).map(({ form }) => form);
}

function disguises(value: string): string[] {
  const bytes = Buffer.from(value);
  const hex = bytes.toString("hex");
  return [
    ...["", "x", "xy"].map((before) => Buffer.from(before + value).toString("base64")),
    hex,
    hex.replaceAll(/../g, "%$&"),
    Buffer.from(value).reverse().toString(),
  ];
}

async function dumpMemory({ service }: TestWorld, request: DumpRequest): Promise<void> {
  const child = service().process;
  child.send(request);
  const [{ fault }] = (await once(child, "message")) as [DumpAnswer];
  expect(fault).toBeNull();
}

/** The folder of the image that the service's machines boot. */
function imageOf({ service }: TestWorld): string {
  const { uid, homedir: home } = userInfo();
  return cachePaths(defaultCacheDir({ uid, home })).image(service().addresses.image.replace("sha256:", ""));
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}
