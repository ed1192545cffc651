import type { Row } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import type { DoorBench } from "../../../enrolment/door-bench.ts";
import { survivors } from "../machine/survivors.ts";
import { ask, enrolAt, HERE, type Identity, newKey, withDoor } from "./door-visitor.ts";

const BEAT = "POST /v1/heartbeat";

/** What a machine on EC2 leaves to whoever kept a copy: its certificate, and the address that it had. */
export const identityOnEc2: Row = {
  ...survivors,
  needs: "redis",
  control: "before the end the same certificate was good and the same address was let in",
  async run(context) {
    const tally = createTally();
    for (const end of ["destroyed", "past its deadline"] as const) {
      await withDoor(context, (bench) => outlive(tally, bench, end));
    }
    return tally.verdict("certificate and address of an ended machine are good for nothing");
  },
};

async function outlive(tally: Tally, bench: DoorBench, end: "destroyed" | "past its deadline"): Promise<void> {
  const machine = await bench.addMachine(HERE);
  const key = newKey();
  const kept: Identity = { machine, key, cert: await enrolAt(bench, HERE, key) };
  const before = await ask(bench, HERE, kept, BEAT);
  tally.control(before.includes("CAPABILITY"), `before it was ${end}: ${before.slice(0, 300)}`);
  const { createdAt, deadline } = await bench.machine(machine);
  if (end === "destroyed") {
    await bench.records.applyToMachine(machine, { type: "destroy", why: "idle" });
  } else {
    bench.pass(deadline - createdAt);
  }
  const said = await ask(bench, HERE, kept, BEAT);
  const refusal = end === "destroyed" ? "MACHINE_ENDED" : "CERTIFICATE_EXPIRED";
  tally.expect(said.includes(refusal), () => `its certificate once it was ${end}: ${said.slice(0, 300)}`);
  // EC2's listing lags: it shows the dead machine at that address still.
  for (const [what, again] of [
    ["its key", key],
    ["a new key", newKey()],
  ] as const) {
    const enrolled = await enrolAt(bench, HERE, again);
    tally.expect(enrolled.includes("ADDRESS_UNKNOWN"), () => `${what} once it was ${end}: ${enrolled.slice(0, 300)}`);
  }
}
