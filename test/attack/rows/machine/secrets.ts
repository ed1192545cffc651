import type { Row } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import { battery, type Battery } from "./battery.ts";
import { expectOnlyPlanted, scanOf } from "./memory.ts";
import { tryNetwork } from "./ways-out.ts";

export const secretsInMemory: Row = {
  id: "T12",
  attack: "Secrets are looked for in all of the machine's memory and disk, and in what the host says of its processes.",
  needs: "machine",
  control:
    "values planted in a file, in the prompt and in six disguises are found; the model's error with the credential comes",
  async run(context) {
    const tally = createTally();
    const here = await battery(context, "codex");
    const { quoted } = here.report;
    tally.control(quoted.startsWith("HTTP/1.1 400 "), `the model's error was answered ${quoted}`);
    tally.expect(!quoted.includes(here.world.modelKey), "the machine heard the credential that the model quoted");
    if (!tally.isBroken) {
      expectOnlyPlanted(tally, await scanOf(context, here), here);
    }
    return tally.verdict("no credential in any form, though all that was planted");
  },
};

export const rootInTheMachine: Row = {
  id: "T14",
  attack: "The attacker is root in the machine, by a hole in its kernel or by the operator's leave.",
  needs: "machine",
  control: "it is root, and does read the agent's memory; planted values are found; the host hears the host",
  async run(context) {
    const tally = createTally();
    const here = await battery(context, "root");
    expectRoot(tally, here);
    await tryNetwork(tally, here);
    if (!tally.isBroken) {
      expectOnlyPlanted(tally, await scanOf(context, here), here);
    }
    return tally.verdict("root found only what dies with its run, and reached nobody");
  },
};

/** All of the machine is open to it, and what is to be found there is worth nothing elsewhere. */
function expectRoot(tally: Tally, { report }: Battery): void {
  const { search, status, hidden, modules } = report;
  tally.control(/^0(\s+0){3}$/.test(status["Uid"] ?? ""), `uid ${status["Uid"]}`);
  tally.control(status["CapEff"] !== "0000000000000000", `CapEff ${status["CapEff"]}`);
  tally.control(status["NoNewPrivs"] === "0", `NoNewPrivs ${status["NoNewPrivs"]}`);
  tally.equal(hidden.hidden, 0, "processes hidden from root");
  tally.equal(modules, "EPERM", "what the kernel says to a module of root's");
  tally.control(search.found.includes(search.planted), "the planted value was not found");
  tally.control(
    search.found.some((value) => value.startsWith("mfc_")),
    "the agent's memory was not read",
  );
  const worthless = /^mf[ck]_/;
  tally.equal(
    search.found.filter((value) => !worthless.test(value)),
    [],
    "credentials in the machine's processes",
  );
}
