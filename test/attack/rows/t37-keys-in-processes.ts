import { createPrivateKey } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../../support/service.ts";
import type { TestWorld } from "../../support/world.ts";
import { type FoundProcess, listProcesses, memoryOf } from "../process-memory.ts";
import type { Row } from "../row.ts";
import { createScanner, type Secret } from "../secret-scan.ts";
import { createTally, type Tally } from "../tally.ts";

/** Three processes that each load Node. */
const START_MS = 60_000;
/** So much of a number of the key is a find: chance finds none. */
const NUMBER_BYTES = 24;
const ROLES = ["service", "broker", "signer"] as const;
type Role = (typeof ROLES)[number];

/** What each process has a reason to hold. What it holds beside that is a find; what it does not hold, a blind search. */
const holds: Readonly<Record<Role, readonly string[]>> = {
  service: ["webhook secret"],
  broker: ["model key"],
  signer: ["private key"],
};

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
    for (const role of ROLES) {
      const found = await eventually(
        () => processOf(world, role),
        START_MS,
        async () => `no process of the ${role}`,
      );
      await inProcess(tally, role, found, secrets);
    }
    await inFiles(tally, world, secrets);
    return tally.verdict("each key is in the memory of one process and nowhere else");
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

/** The supervisor's child of that name. */
async function processOf({ service }: TestWorld, role: Role): Promise<FoundProcess | null> {
  const all = await listProcesses();
  const supervisor = service().process.pid;
  return (
    all.find(({ parent, args }) => parent === supervisor && args.includes("process") && args.includes(role)) ?? null
  );
}

async function inProcess(tally: Tally, role: Role, { pid }: FoundProcess, secrets: Secrets): Promise<void> {
  const scanner = createScanner(secrets.texts);
  const inMemory = new Set((await scanner.scan(memoryOf(pid))).map(({ name }) => name));
  for await (const chunk of memoryOf(pid)) {
    if (secrets.numbers.some((number) => chunk.includes(number))) {
      inMemory.add("private key");
      break;
    }
  }
  for (const { name } of secrets.texts) {
    if (holds[role].includes(name)) {
      tally.control(inMemory.has(name), `the ${name} is not found in the ${role}`);
    } else {
      tally.expect(!inMemory.has(name), `the ${name} is in the memory of the ${role}`);
    }
  }
  for (const file of ["environ", "cmdline"]) {
    const found = await scanner.scan([await readFile(`/proc/${pid}/${file}`)]);
    tally.equal(found, [], `credentials in the ${file} of the ${role}`);
  }
}

/** Whatever any of them has written down. */
async function inFiles(tally: Tally, { stateDir }: TestWorld, { texts, numbers }: Secrets): Promise<void> {
  const scanner = createScanner(texts);
  const entries = await readdir(stateDir, { recursive: true, withFileTypes: true });
  for (const path of entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))) {
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    const found = await scanner.scan([bytes]);
    tally.equal(found, [], `credentials in ${path}`);
    tally.expect(!numbers.some((number) => bytes.includes(number)), `a number of the private key is in ${path}`);
  }
}
