import { createPrivateKey } from "node:crypto";
import { access, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { stall } from "../../fakes/model/script.ts";
import { familyOf, type HostProcess } from "../../support/processes.ts";
import { eventually } from "../../support/service.ts";
import type { TestWorld } from "../../support/world.ts";
import { memoryOf } from "../process-memory.ts";
import type { Row } from "../row.ts";
import { RUN_MS, startRun } from "../scene.ts";
import { createScanner, type Secret } from "../secret-scan.ts";
import { createTally, type Tally } from "../tally.ts";

/** Three processes that each load Node. */
const START_MS = 60_000;
/** From the request to cancel to the end of the machine. */
const END_MS = 240_000;
/** So much of a number of the key is a find: chance finds none. */
const NUMBER_BYTES = 24;
const PROMPT = "Wait for the search of the host.";

/**
 * What each part has a reason to hold. What it holds beside that is a find; what it does not hold, a blind search. Every
 * process that is not named here must hold nothing: Redis, emulators, forwarders, whatever there is.
 */
const holds: Readonly<Record<string, readonly string[]>> = {
  // It is started with the settings, and opens the private key's file for the signer without reading it.
  supervisor: ["webhook secret", "model key"],
  service: ["webhook secret"],
  broker: ["model key"],
  signer: ["private key"],
};
const always = [...Object.keys(holds), "redis-server"];

/** Each credential is in one process alone, which does nothing else: what takes over one of them has not the others. */
export const keysInProcesses: Row = {
  id: "T37",
  attack:
    "The App's private key and the model's key are looked for in every process, its environment, arguments and files.",
  needs: "service",
  control: "each is found by the same search in the one process that must hold it",
  async run(context) {
    const tally = createTally();
    const world = await context.world();
    const secrets = secretsOf(world);
    await inFamily(tally, world, secrets, always);
    await inFiles(tally, world, secrets);
    return tally.verdict("each key is in the memory of one process and nowhere else");
  },
};

/** The same while a run is at work: its machine is processes of the host too, and nobody's children. */
export const keysBesideMachines: Row = {
  id: "T37",
  attack: "The keys are looked for in every process of a run at work as well: emulators, forwarders, launchers.",
  needs: "machine",
  control: "an emulator and a forwarder are among the processes",
  async run(context) {
    const tally = createTally();
    const world = await context.world();
    context.answer(new RegExp(PROMPT), [stall()]);
    const { id } = await startRun(world, { prompt: PROMPT });
    try {
      await world.control.waitFor(id, ({ run }) => run.modelCalls > 0, RUN_MS);
      await inFamily(tally, world, secretsOf(world), [...always, "qemu-system-x86", "socat"]);
    } finally {
      await world.control.cancel(id);
      await world.control.waitFor(id, ({ run }) => run.phase === "done", END_MS);
    }
    return tally.verdict("nor in any process of a machine at work");
  },
};

interface Secrets {
  readonly texts: readonly Secret[];
  /** The key's own numbers, as a library keeps them: both orders of bytes. */
  readonly numbers: readonly Buffer[];
}

function secretsOf({ github, modelKey }: TestWorld): Secrets {
  const pem = github.privateKeyPem ?? "";
  const jwk = createPrivateKey(pem).export({ format: "jwk" });
  const numbers = [jwk.d, jwk.p, jwk.q].flatMap((text) => {
    const bytes = Buffer.from(text ?? "", "base64url");
    return [bytes, Buffer.from(bytes).reverse()].map((one) => one.subarray(8, 8 + NUMBER_BYTES));
  });
  return {
    texts: [
      { name: "model key", value: modelKey },
      { name: "webhook secret", value: github.webhookSecret },
      { name: "private key", value: pem.split("\n").slice(1, -2).join("\n") },
    ],
    numbers,
  };
}

/** Looks into every process of the service, once all of `wanted` are there. */
async function inFamily(tally: Tally, world: TestWorld, secrets: Secrets, wanted: readonly string[]): Promise<void> {
  const all = await eventually(
    async () => {
      const family = await familyOf(world);
      const names = family.map((one) => partNameOf(world, one));
      return wanted.every((name) => names.includes(name)) ? family : null;
    },
    START_MS,
    async () => `of ${wanted.join(", ")} there are only ${(await familyOf(world)).map(({ name }) => name).join(", ")}`,
  );
  for (const one of all) {
    const name = partNameOf(world, one);
    await inProcess(tally, name, one, secrets).catch(async (error: unknown) => {
      // One that has ended holds nothing any more. Any other that cannot be read is not known to be clean.
      const isThere = await access(`/proc/${one.pid}`).then(
        () => true,
        () => false,
      );
      tally.expect(
        !isThere && !wanted.includes(name),
        `${name} (${one.pid}) could not be looked into: ${String(error)}`,
      );
    });
  }
}

/** Which part of the service it is; the name of its program if it is none. */
function partNameOf({ service }: TestWorld, { pid, parent, argv, name }: HostProcess): string {
  const supervisor = service().process.pid;
  if (pid === supervisor) {
    return "supervisor";
  }
  return parent === supervisor && argv.at(-2) === "process" ? (argv.at(-1) ?? name) : name;
}

async function inProcess(tally: Tally, name: string, { pid }: HostProcess, secrets: Secrets): Promise<void> {
  const scanner = createScanner(secrets.texts);
  const mayHold = holds[name] ?? [];
  let hasNumbers = false;
  async function* noted(): AsyncGenerator<Buffer> {
    for await (const chunk of memoryOf(pid)) {
      hasNumbers ||= secrets.numbers.some((number) => chunk.includes(number));
      yield chunk;
    }
  }
  const inMemory = new Set((await scanner.scan(noted())).map((found) => found.name));
  if (hasNumbers) {
    inMemory.add("private key");
  }
  for (const secret of secrets.texts) {
    if (mayHold.includes(secret.name)) {
      tally.control(inMemory.has(secret.name), `the ${secret.name} is not found in the ${name}`);
    } else {
      tally.expect(!inMemory.has(secret.name), `the ${secret.name} is in the memory of ${name} (${pid})`);
    }
  }
  for (const file of ["environ", "cmdline"]) {
    const found = await scanner.scan([await readFile(`/proc/${pid}/${file}`)]);
    // The operator's own environment is where the operator may have put them; nobody else inherits it.
    const wanted = name === "supervisor" && file === "environ" ? mayHold : [];
    const strange = found.filter((one) => !wanted.includes(one.name));
    tally.equal(strange, [], `credentials in the ${file} of ${name} (${pid})`);
  }
}

/** Whatever any of them has written down. */
async function inFiles(tally: Tally, { stateDir }: TestWorld, { texts, numbers }: Secrets): Promise<void> {
  const scanner = createScanner(texts);
  const entries = await readdir(stateDir, { recursive: true, withFileTypes: true });
  for (const path of entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))) {
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => error);
    if (!Buffer.isBuffer(bytes)) {
      tally.expect(bytes.code === "ENOENT", `${path} could not be read: ${bytes.message}`);
      continue;
    }
    const found = await scanner.scan([bytes]);
    tally.equal(found, [], `credentials in ${path}`);
    tally.expect(!numbers.some((number) => bytes.includes(number)), `a number of the private key is in ${path}`);
  }
}
