import { readFile } from "node:fs/promises";
import { AppError, isRunId, type Receipt, RECEIPT_CHARS_MAX, toTerminal } from "@mayfly/core";
import { readPublicKeys, receiptKeysFolder } from "../signer/receipt-keys.ts";
import type { ReceiptPublicKey } from "../signer/signer.ts";
import { type ReceiptVerdict, verifyReceipt } from "../signer/verify-receipt.ts";
import { archiveFolder, createFolderArchive } from "../store/archive.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly config?: string;
  readonly state?: string;
}

/** `mayfly receipt show`: the receipt as it is stored. Needs no running service, for receipts outlive their runs' records. */
export async function receiptShow(terminal: Terminal, id: string, flags: Flags): Promise<number> {
  terminal.stdout(await readStored(terminal, id, flags));
  return 0;
}

/** `mayfly receipt verify`: 0 only for a receipt that one of the keys signed as it is. */
export async function receiptVerify(
  terminal: Terminal,
  name: string,
  flags: Flags & { keys?: string; json?: boolean },
): Promise<number> {
  const text = isRunId(name) ? await readStored(terminal, name, flags) : await readGiven(name);
  const folder = flags.keys ?? receiptKeysFolder(loadSettings(terminal, flags).sharedDir);
  const verdict = verifyReceipt(text, await readKeys(folder));
  if (flags.json === true) {
    terminal.stdout(`${JSON.stringify(documentOf(verdict))}\n`);
  } else if (verdict.ok) {
    terminal.stdout(`${toTerminal(linesOf(verdict, folder).join("\n"))}\n`);
  } else {
    terminal.stderr(`mayfly: ${toTerminal(`${name}: ${verdict.message}`)}\n  ${verdict.fix}\n`);
  }
  return verdict.ok ? 0 : 1;
}

async function readStored(terminal: Terminal, id: string, flags: Flags): Promise<string> {
  if (!isRunId(id)) {
    throw new AppError("INPUT_INVALID", `${id} is no id of a run: they look like run_ and 20 letters and digits`);
  }
  const folder = archiveFolder(loadSettings(terminal, flags).sharedDir);
  const text = await createFolderArchive(folder)
    .read(`${id}.json`)
    .catch((cause: unknown) => {
      throw new AppError("INPUT_INVALID", `${folder} cannot be read: ask as root or as the service's user`, { cause });
    });
  if (text === null) {
    throw new AppError("NOT_FOUND", `there is no receipt of ${id} in ${folder}: a run has one once it has ended`);
  }
  return text;
}

async function readGiven(name: string): Promise<string> {
  const text = await readFile(name, "utf8").catch((cause: unknown) => {
    throw new AppError("INPUT_INVALID", `the receipt ${name} cannot be read`, { cause });
  });
  // A longer one is refused by the verifier in any case; nothing is gained by holding it.
  return text.slice(0, RECEIPT_CHARS_MAX + 1);
}

async function readKeys(folder: string): Promise<readonly ReceiptPublicKey[]> {
  const keys = await readPublicKeys(folder).catch((cause: unknown) => {
    throw new AppError("INPUT_INVALID", `the folder of public keys ${folder} cannot be read: name it with --keys`, {
      cause,
    });
  });
  if (keys.length === 0) {
    throw new AppError("INPUT_INVALID", `there is no ed25519 public key in ${folder}: name the folder with --keys`);
  }
  return keys;
}

function documentOf(verdict: ReceiptVerdict): object {
  if (!verdict.ok) {
    return verdict;
  }
  const { signature, receipt } = verdict;
  return { ok: true, run: receipt["run"], outcome: receipt["outcome"], signature };
}

/** Who signed, and the most of what they signed. The text of a receipt is in part the guest's and GitHub's: the caller escapes it. */
function linesOf(verdict: ReceiptVerdict & { ok: true }, folder: string): string[] {
  const { run, outcome, code, trigger, task, machines }: Partial<Receipt> = verdict.receipt;
  const { keyId, algorithm } = verdict.signature;
  const about =
    trigger?.kind === "pull_request"
      ? `${trigger.repository.owner}/${trigger.repository.name}#${trigger.number} at ${trigger.head}, ${trigger.actor.type === "Operator" ? "started" : "asked for"} by ${trigger.actor.login}`
      : (trigger?.path ?? "unknown");
  return [
    `good: every word of this receipt is as it was signed`,
    `  signed by  ${keyId} (${algorithm}), in ${folder}`,
    `  run        ${run}: ${outcome}, ${code}`,
    `  task       ${task?.name ?? "unknown"} on ${about}`,
    ...(machines ?? []).map(({ machine, goneAt }) => `  machine    ${machine} was gone at ${goneAt}`),
  ];
}
