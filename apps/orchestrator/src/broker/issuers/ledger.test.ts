import { type RunId, Secret } from "@mayfly/core";
import { expect, it } from "vitest";
import { createLog } from "../../host/log.ts";
import type { Credential } from "./issuer.ts";
import { createLedger } from "./ledger.ts";

const run = "run_0123456789abcdefghjk" as RunId;

function credential(secret: string, options: { resists: boolean }): Credential {
  return {
    secret: new Secret(secret),
    headers: () => ({}),
    expiresAt: 3_600_000,
    async revoke() {
      if (options.resists) {
        throw new Error("down");
      }
    },
  };
}

it("gives up the oldest that resists where there are too many, says so, and keeps whatever is at work", async () => {
  const lines: string[] = [];
  const { log } = createLog({ level: "info", write: (line) => void lines.push(line) });
  const ledger = createLedger({ clock: { now: () => 0 }, log, entriesMax: 3 });
  ledger.add(credential("sk-at-work", { resists: false }), run);
  for (const secret of ["sk-resists-1", "sk-resists-2"]) {
    const resisting = credential(secret, { resists: true });
    ledger.add(resisting, run);
    await ledger.revoke(resisting, log);
  }
  ledger.add(credential("sk-next", { resists: false }), run);
  expect(ledger.secrets()).toEqual(["sk-at-work", "sk-resists-2", "sk-next"]);
  expect(lines.filter((line) => line.includes("too many model credentials"))).toHaveLength(1);
});
