import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Receipt } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensurePublicKeys, openReceiptKeys, receiptKeysFolder } from "../signer/receipt-keys.ts";
import { sealReceipt } from "../signer/seal-receipt.ts";
import { createFolderArchive } from "../store/archive.ts";
import { receiptShow, receiptVerify } from "./receipt-commands.ts";
import type { Terminal } from "./terminal.ts";

const RUN = "run_00000000000000000000";
const receipt = {
  schema: 1,
  run: RUN,
  trigger: {
    kind: "pull_request",
    repository: { id: 1, owner: "example-org", name: "app" },
    number: 3,
    head: "a".repeat(40),
    actor: { id: 1, login: "ann", type: "User" },
  },
  task: { name: "review\u001b[2J" },
  outcome: "succeeded",
  code: "ok",
  machines: [{ machine: "mch_00000000000000000000", goneAt: "2026-01-01T00:00:00.000Z" }],
} as unknown as Receipt;

let state: string;
let text: string;
let out: string;
let err: string;

const terminal: Terminal = {
  env: {},
  stdout: (more) => void (out += more),
  stderr: (more) => void (err += more),
  isRoot: false,
  isInteractive: false,
  onStop: () => undefined,
  program: "mayfly",
  stdin: () => ({ [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }) }),
  tellParent: () => undefined,
  onOrphaned: () => undefined,
};

beforeEach(async () => {
  [out, err] = ["", ""];
  state = await mkdtemp(join(tmpdir(), "mf-receipt-"));
  await mkdir(join(state, "signer"));
  const keys = await openReceiptKeys(join(state, "signer"));
  await ensurePublicKeys(receiptKeysFolder(state), await keys.publicKeys());
  text = await sealReceipt(receipt, async (one) => keys.sign(one));
  await createFolderArchive(`${state}/archive`).ensureStored(`${RUN}.json`, text);
});
afterEach(() => rm(state, { recursive: true, force: true }));

async function fileOf(content: string): Promise<string> {
  const file = join(state, "receipt.json");
  await writeFile(file, content);
  return file;
}

describe("mayfly receipt", () => {
  it("shows a run's receipt as it is stored, and that verifies", async () => {
    expect(await receiptShow(terminal, RUN, { state })).toBe(0);
    expect({ out, err }).toEqual({ out: text, err: "" });
    expect(await receiptVerify(terminal, await fileOf(out), { state })).toBe(0);
  });

  it("says who signed a good one and what it covers, and lets it command no terminal", async () => {
    expect(await receiptVerify(terminal, RUN, { state })).toBe(0);
    expect(out).toMatch(/^good: /);
    for (const word of ["sha256:", "ed25519", RUN, "succeeded", "example-org/app#3", "ann", "mch_", "2026-01-01"]) {
      expect(out).toContain(word);
    }
    expect(out).not.toContain("\u001b");
    expect(err).toBe("");
  });

  it("needs only the file and the folder of keys", async () => {
    const keys = receiptKeysFolder(state);
    const file = await fileOf(text);
    const code = await receiptVerify({ ...terminal, env: { MAYFLY_STATE_DIR: "/nonexistent" } }, file, {
      keys,
      json: true,
    });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ok: true, run: RUN, signature: { algorithm: "ed25519" } });
  });

  it.each([
    ["a changed word", (one: string) => one.replace("succeeded", "failed"), "signature_wrong"],
    ["no JSON", () => "text", "not_json"],
    ["no signature", (one: string) => one.replace(/"signature": \{[^}]*\}/, '"signature": null'), "unsigned"],
    ["too much", (one: string) => one + " ".repeat(3_000_000), "not_json"],
  ])("ends with 1 for %s, and says what to do", async (_name, change, code) => {
    const file = await fileOf(change(text));
    expect(await receiptVerify(terminal, file, { state })).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(/^mayfly: .*receipt\.json: .+\n {2}\S.+\n$/);
    expect(await receiptVerify(terminal, file, { state, json: true })).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ ok: false, code, fix: expect.any(String) });
  });

  it.each<[string, () => Promise<number>, string]>([
    [
      "a file that is not there",
      () => receiptVerify(terminal, `${state}/none.json`, { state }),
      "none.json cannot be read",
    ],
    ["a folder", () => receiptVerify(terminal, state, { state }), "cannot be read"],
    ["a folder of keys that is not there", () => receiptVerify(terminal, RUN, { state, keys: "/none" }), "--keys"],
    ["a folder without keys", () => receiptVerify(terminal, RUN, { state, keys: `${state}/archive` }), "--keys"],
    ["no id of a run", () => receiptShow(terminal, "../../etc/passwd", { state }), "no id of a run"],
    ["a run without a receipt", () => receiptShow(terminal, RUN.replace("0", "1"), { state }), "no receipt of"],
  ])("refuses %s with words", async (_name, ask, words) => {
    await expect(ask()).rejects.toThrow(words);
    expect(out).toBe("");
  });
});
