import { stat } from "node:fs/promises";
import { asRootText, limits } from "@mayfly/core";
import { connectForCommands, waitUntilReady } from "../../../../apps/orchestrator/src/store/connection.ts";
import { createResultStore } from "../../../../apps/orchestrator/src/store/results.ts";
import { processesNaming } from "../../../support/service.ts";
import type { Row } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import { battery, type Battery } from "./battery.ts";

const REDIS_MS = 10_000;

export const outlivingProcess: Row = {
  id: "T36",
  attack: "A process outlives Codex and writes while its result is gathered; repositories make git run what they say.",
  needs: "machine",
  control: "what the process wrote while Codex lived is in the patch; the filter did run, as Codex's user",
  async run(context) {
    const tally = createTally();
    for (const who of ["root", "codex"] as const) {
      const here = await battery(context, who);
      await expectGone(tally, here);
      expectSaid(tally, here, who === "root");
      if (tally.isBroken) {
        return tally.verdict("");
      }
    }
    const asCodex = await battery(context, "codex");
    const patch = await patchOf(asCodex);
    tally.control(patch.includes("+beating"), "the process did not write while Codex lived");
    tally.expect(!patch.includes("late"), "a process wrote while the result was gathered");
    // The filter ran when the patch was made: as Codex's user, who could do no more than before.
    tally.control(patch.includes("+1001\n"), "the repository's filter did not run");
    tally.expect(!/^\+(0|root:.*|.*-0)$/m.test(patch), "the repository's filter ran as root");
    const trace = await stat(`/tmp/ran-${asCodex.mark}`).then(
      () => "there",
      (error: NodeJS.ErrnoException) => error.code,
    );
    tally.equal(trace, "ENOENT", "a trace of the repository's programs on the host");
    return tally.verdict("nothing of Codex ran when its result was gathered, and both machines are gone");
  },
};

async function expectGone(tally: Tally, here: Battery): Promise<void> {
  const ended = await here.finish();
  const [gone] = ended.gone;
  tally.equal(gone?.machine, here.machine, "the machine that is gone");
  tally.expect(gone?.evidence.checks.every(({ absent }) => absent) === true, "something of the machine is still there");
  tally.equal(await processesNaming(here.machine), [], "processes of the machine");
}

/** Everybody who looks at a run is told when Codex was root, and nobody otherwise. */
function expectSaid(tally: Tally, { world, pull, who }: Battery, wanted: boolean): void {
  const { comments, checkRuns } = world.github.pullRequest(pull);
  for (const [where, shown] of Object.entries({ comment: comments, check: checkRuns })) {
    tally.equal(JSON.stringify(shown).includes(asRootText), wanted, `the ${where} of the run as ${who} says "root"`);
  }
}

/** The patch as the service keeps it. */
async function patchOf({ world, id, finish }: Battery): Promise<string> {
  const { epoch } = await finish();
  const redis = connectForCommands({ socket: `${world.stateDir}/redis/redis.sock` });
  try {
    await waitUntilReady(redis, REDIS_MS);
    const store = createResultStore({ redis, prefix: "mayfly:", keepMs: limits.finishedRunMs });
    const kept = await store.getResult(id as Parameters<typeof store.getResult>[0], epoch);
    const patch = kept?.kind === "result" ? kept.result.patch : null;
    if (patch?.state !== "present") {
      throw new Error(`there is no patch: ${JSON.stringify(patch)}`);
    }
    return patch.text;
  } finally {
    redis.disconnect();
  }
}
