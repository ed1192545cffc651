import type { Row } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import type { DoorBench } from "../../../enrolment/door-bench.ts";
import { networkOfTheMachine } from "../machine/ways-out.ts";
import { ask, ELSEWHERE, enrolAt, forge, HERE, type Identity, newKey, withDoor } from "./door-visitor.ts";

/** Everything that the broker serves machines, and a few things that the service has elsewhere. */
const lines = [
  "POST /v1/claim",
  "POST /v1/heartbeat",
  "GET /v1/source",
  "POST /v1/gate",
  "POST /v1/key",
  "POST /v1/responses",
  "POST /v1/events",
  "POST /v1/freeze",
  "POST /v1/result",
  "GET /ready",
  "GET /metrics",
  "GET /",
];
const BEAT = "POST /v1/heartbeat";

/** A neighbour's address and its keys, at the broker's door, and the door's own rooms without any. */
export const neighboursOnEc2: Row = {
  ...networkOfTheMachine,
  needs: "redis",
  control: "at its own address a machine's certificate is good, and a machine's first key is taken",
  async run(context) {
    const tally = createTally();
    await withDoor(context, async (bench) => {
      const robbed: Identity = { machine: await bench.addMachine(HERE), key: newKey(), cert: "" };
      const own = { ...robbed, cert: await enrolAt(bench, HERE, robbed.key) };
      const thief = await bench.addMachine(ELSEWHERE);
      tally.control(own.cert.startsWith("-----BEGIN"), `the first key: ${own.cert}`);
      const good = await ask(bench, HERE, own, BEAT);
      tally.control(isLetIn(good), `its own certificate: ${good}`);
      await expectNothingFor(tally, bench, own);
      // A second key of its own, by root in it: then it has none.
      const [before, again] = [await bench.machine(thief), await enrolAt(bench, HERE, newKey())];
      tally.expect(again.includes("ENROLLED_TWICE"), () => `a second key: ${again}`);
      tally.expect(!isLetIn(await ask(bench, HERE, own, BEAT)), "its first key is still good");
      tally.equal((await bench.machine(own.machine)).phase, "destroying", "the machine with two keys");
      tally.equal(await bench.machine(thief), before, "the neighbour");
    });
    return tally.verdict("no key is good at another's address, and a second one for none");
  },
};

async function expectNothingFor(tally: Tally, bench: DoorBench, own: Identity): Promise<void> {
  const { createdAt, deadline } = await bench.machine(own.machine);
  const forged = forge({ ...own, key: newKey() }, createdAt, deadline);
  for (const line of lines) {
    const tries = [
      ["a neighbour's certificate", "ADDRESS_WRONG", await ask(bench, ELSEWHERE, own, line)],
      ["a certificate of one's own making", "CERTIFICATE_FOREIGN", await ask(bench, HERE, forged, line)],
      ["no certificate", "NOT_SERVED", await ask(bench, ELSEWHERE, null, line)],
    ] as const;
    for (const [what, refusal, said] of tries) {
      tally.expect(said.includes(`"${refusal}"`), () => `${line} with ${what}: ${said.slice(0, 300)}`);
    }
  }
}

/** Its channel asks for a capability, which the door does not. */
function isLetIn(said: string): boolean {
  return said.includes("CAPABILITY");
}
