import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Receipt } from "@mayfly/core";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openReceiptKeys } from "../../../apps/orchestrator/src/signer/receipt-keys.ts";
import { sealReceipt } from "../../../apps/orchestrator/src/signer/seal-receipt.ts";
import { verifyReceipt } from "../../../apps/orchestrator/src/signer/verify-receipt.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mf-receipts-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a sealed receipt", () => {
  it("is good whatever it holds, and no more once any value in it is another", async () => {
    const keys = await openReceiptKeys(folder);
    const known = await keys.publicKeys();
    // Names are ours; values come from guests.
    const name = fc.string({ unit: fc.constantFrom("a", "b", "é"), minLength: 2, maxLength: 3 });
    const { tree: values } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3 },
        fc.string({ unit: "binary" }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.constantFrom(null, true, 0, "\ud800"),
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(name, tie("tree"), { maxKeys: 3, noNullPrototype: true }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(values, values, async (detail, other) => {
        const receipt = { schema: 1, run: "run_00000000000000000000", detail } as unknown as Receipt;
        const text = await sealReceipt(receipt, async (one) => keys.sign(one));
        expect(verifyReceipt(text, known).ok).toBe(true);
        const sealed = JSON.parse(text) as Record<string, unknown>;
        const forged = JSON.stringify({ ...sealed, detail: JSON.parse(JSON.stringify(other)) as unknown });
        const isSame = JSON.stringify(JSON.parse(forged)) === JSON.stringify(sealed);
        expect(isSame || !verifyReceipt(forged, known).ok).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
