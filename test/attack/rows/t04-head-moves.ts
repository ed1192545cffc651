import { limits, type PullRequestOrigin, type Run, type RunEvent } from "@mayfly/core";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import { createDispatch } from "../../../apps/orchestrator/src/runs/dispatch.ts";
import { createRecords } from "../../../apps/orchestrator/src/runs/records.ts";
import { createRecordStore } from "../../../apps/orchestrator/src/store/records.ts";
import type { PullView } from "../../fakes/github/views.ts";
import { eventsUntilPublishing, type GitHubBench, LABEL, MACHINE, MAINTAINER, openGitHub } from "../github-bench.ts";
import { readyMachine } from "../records.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const ANSWER = "This is what was said of the approved commit.";

/** What may change under a run, and what it must end as. */
interface Change {
  readonly what: string;
  readonly code: string;
  make(bench: GitHubBench, pull: PullView): Promise<unknown> | void;
}

const changes: readonly Change[] = [
  { what: "a push", code: "pushed", make: ({ github }, pull) => github.push(pull, { files: { "x.txt": "x" } }) },
  {
    what: "a forced push",
    code: "pushed",
    make: ({ github }, pull) => github.forcePush(pull, { files: { "y.txt": "y" } }),
  },
  { what: "closing", code: "closed", make: ({ github }, pull) => github.closePullRequest(pull) },
  {
    what: "the label's removal",
    code: "label_removed",
    make: ({ github }, pull) => github.removeLabel(pull, LABEL, { by: MAINTAINER }),
  },
  {
    what: "the loss of the right to push",
    code: "actor_lacks_write",
    make: ({ github }, pull) => github.setRole(pull.repo, MAINTAINER, "triage"),
  },
];

/** Which step the claim is. */
const CLAIM = 1;

/** No webhook tells the service here: it must ask by itself, at each gate. */
export const headMoves: Row = {
  id: "T04",
  attack:
    "The head is moved, or what approved it is taken back, between any two steps of a run, without a webhook arriving.",
  needs: "redis",
  control: "without a change the same run is given out on the approved commit and its answer is shown",
  async run(context) {
    const tally = createTally();
    const bench = await openGitHub(context);
    const undisturbed = await runWith(context, bench, null);
    tally.control(undisturbed.given === undisturbed.approved, "an undisturbed run is not given out");
    tally.control(undisturbed.isShown, "an undisturbed run's answer is not shown");
    for (const change of changes) {
      for (let moment = 0; moment <= undisturbed.steps && !tally.isBroken; moment++) {
        // In short: before the claim, just after it, and at the end.
        if (!context.isShort || [0, CLAIM + 1, undisturbed.steps].includes(moment)) {
          await disturbed(context, tally, bench, { change, moment });
        }
      }
    }
    await bench.close();
    return tally.verdict("what ran was what was approved, and nothing was shown once that no longer held");
  },
};

async function disturbed(
  context: AttackContext,
  tally: Tally,
  bench: GitHubBench,
  when: { change: Change; moment: number },
): Promise<void> {
  const seen = await runWith(context, bench, when);
  const where = `${when.change.what} before step ${when.moment}`;
  tally.expect(seen.given === null || seen.given === seen.approved, () => `after ${where} ${seen.given} is run`);
  tally.expect(seen.given === null || when.moment > CLAIM, () => `after ${where} a machine is given the run`);
  tally.expect(!seen.isShown, () => `after ${where} the answer is shown all the same`);
  tally.equal(seen.code, when.change.code, `the ending after ${where}`);
}

interface Seen {
  readonly approved: string;
  /** The commit a machine was given; null if none was. */
  readonly given: string | null;
  readonly isShown: boolean;
  readonly code: string | null;
  readonly steps: number;
}

/** One run from its request to its publication, through the real claim and the real publisher. */
async function runWith(
  context: AttackContext,
  bench: GitHubBench,
  when: { change: Change; moment: number } | null,
): Promise<Seen> {
  const { redis, prefix } = await context.redis();
  const clock = { now: () => Date.now() };
  const store = createRecordStore({ redis, prefix: prefix(), keepFinishedMs: limits.finishedRunMs });
  const records = createRecords({ store, clock });
  const wakeups = {
    wakeRun: async () => undefined,
    wakeMachine: async () => undefined,
    wakeLaunch: async () => undefined,
  };
  const { recheck } = bench;
  const dispatch = createDispatch({
    store,
    records,
    wakeups,
    perInstallationMax: null,
    clock,
    ids: randomIds,
    recheck,
  });
  const { run, pull, origin } = await bench.openRun();
  const machine = { ...readyMachine(clock.now()), id: MACHINE };
  await store.commit([{ kind: "run", value: run, version: 0 }]);
  await store.commit([{ kind: "machine", value: machine, version: 0 }]);
  let given: string | null = null;
  const steps = stepsOf(origin);
  for (const [index, step] of [...steps, "publish" as const].entries()) {
    if (when?.moment === index) {
      await when.change.make(bench, pull);
    }
    if (step === "claim") {
      given = (await dispatch.claim(MACHINE))?.source.head ?? null;
    } else if (step === "publish") {
      await publish(bench, records, run);
    } else {
      await records.applyToRun(run.id, step);
    }
  }
  const ended = (await store.loadRun(run.id))?.value;
  return {
    approved: origin.head,
    given,
    isShown: bench.github.pullRequest(pull).comments.some(({ body }) => body.includes(ANSWER)),
    code: ended !== undefined && "ending" in ended ? ended.ending.code : null,
    steps: steps.length,
  };
}

function stepsOf(origin: PullRequestOrigin): (RunEvent | "claim")[] {
  return eventsUntilPublishing(origin).map((event) => (event.type === "claimed" ? "claim" : event));
}

/** Until it is published, as the run's steps do it: a changed ending is published in its turn. */
async function publish(bench: GitHubBench, records: ReturnType<typeof createRecords>, { id }: Run): Promise<void> {
  const publisher = await bench.publisher((now) =>
    "resultDigest" in now && now.resultDigest !== null ? ANSWER : null,
  );
  for (let tries = 0; tries < 3; tries++) {
    const { run } = await records.applyToRun(id, { type: "tick" });
    if (run.phase === "publishing") {
      await records.applyToRun(id, await publisher.publish(run));
    }
  }
}
