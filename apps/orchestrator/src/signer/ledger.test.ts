import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLog } from "../host/log.ts";
import { type Ledger, type LedgerEntry, openLedger } from "./ledger.ts";

const lines: string[] = [];
const { log } = createLog({ level: "info", write: (line) => void lines.push(line) });
const key = randomBytes(32);
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mf-ledger-"));
  file = join(folder, "tokens");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function open(withKey = key): Promise<Ledger> {
  return openLedger({ file, key: withKey, log });
}

function entry(n: number): LedgerEntry {
  return { token: `ghs_${n}`, purpose: "read", session: "a", mintedAt: n, expiresAt: n + 1, released: false };
}

describe("the ledger", () => {
  it("has every token on disk once it is added, and none once it is forgotten", async () => {
    const ledger = await open();
    await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => ledger.add(entry(n))));
    expect((await open()).entries()).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map(entry));
    await Promise.all([1, 2, 3, 4, 5, 6].map((n) => ledger.forget(`ghs_${n}`)));
    await ledger.forget("ghs_never");
    expect((await open()).entries()).toEqual([7, 8].map(entry));
  });

  it("keeps every token in it out of the log, also those of a process before, until it is forgotten", async () => {
    const token = `ghs_${"Ab1".repeat(12)}`;
    const shows = (): boolean => {
      lines.length = 0;
      log.info({ err: `GitHub refused ${token}` }, "refused");
      return lines.join("").includes(token);
    };
    const ledger = await open();
    expect(shows()).toBe(true);
    await ledger.add({ ...entry(1), token });
    expect(shows()).toBe(false);
    await ledger.forget(token);
    expect(shows()).toBe(true);
    await ledger.add({ ...entry(1), token });
    await ledger.forget(token);
    await ledger.add({ ...entry(2), token });
    const { log: other } = createLog({ level: "info", write: (line) => void lines.push(line) });
    await openLedger({ file, key, log: other });
    lines.length = 0;
    other.info({ token }, "found");
    expect(lines.join("")).toContain('"token":"[secret]"');
  });

  it("is nobody else's to read, in any way", async () => {
    const ledger = await open();
    const { token } = entry(1);
    await ledger.add(entry(1));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const bytes = await readFile(file);
    for (const form of ["utf8", "hex", "base64", "base64url"] as const) {
      expect(bytes.includes(Buffer.from(token).toString(form))).toBe(false);
    }
    expect(bytes.includes("purpose")).toBe(false);
    expect(await readdir(folder)).toEqual(["tokens"]);
  });

  it.each([
    ["another key", async () => open(randomBytes(32))],
    [
      "a changed byte",
      async () => {
        const bytes = await readFile(file);
        bytes[20] = (bytes[20] ?? 0) ^ 1;
        await writeFile(file, bytes);
        return open();
      },
    ],
    [
      "half a file",
      async () => {
        await writeFile(file, (await readFile(file)).subarray(0, 9));
        return open();
      },
    ],
  ])("is begun anew with %s", async (_name, reopen) => {
    await (await open()).add(entry(1));
    const ledger = await reopen();
    expect(ledger.entries()).toEqual([]);
    await ledger.add(entry(2));
    expect(ledger.entries()).toEqual([entry(2)]);
  });

  it("hands nothing out that it could not write down", async () => {
    const ledger = await open();
    await rm(folder, { recursive: true });
    await expect(ledger.add(entry(1))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(ledger.entries()).toEqual([]);
  });

  it("holds no more than a bound", async () => {
    const ledger = await open();
    const asked = Array.from({ length: 513 }, (_, n) => ledger.add(entry(n)));
    const refused = (await Promise.allSettled(asked)).filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(1);
  });

  it("knows the session it serves, and those that are history, after a restart too", async () => {
    const ledger = await open();
    expect(await ledger.enter("a")).toEqual({ entered: true, isNew: true });
    expect(await ledger.enter("a")).toEqual({ entered: true, isNew: false });
    expect(await ledger.enter("b")).toEqual({ entered: true, isNew: true });
    const again = await open();
    expect(again.session()).toBe("b");
    expect(await again.enter("a")).toEqual({ entered: false, isNew: false });
    expect(await again.enter("b")).toEqual({ entered: true, isNew: false });
  });
});
