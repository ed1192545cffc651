import { limits, type RunEvent } from "@mayfly/core";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import { createDispatch } from "../../../apps/orchestrator/src/runs/dispatch.ts";
import { createRecords } from "../../../apps/orchestrator/src/runs/records.ts";
import { createRecordStore } from "../../../apps/orchestrator/src/store/records.ts";
import { after, eventsUntilPublishing, type GitHubBench, openGitHub } from "../github-bench.ts";
import { queuedRun, readyMachine } from "../records.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

/** Requests of one publication, and some more that do not come. */
const POINTS = 10;
const TRIES_MAX = 4;
const MACHINES = 5;

/** At least once is what every queue gives: what is visible must come of it once. */
export const publishedTwice: Row = {
  id: "T29",
  attack:
    "A run is given out to several machines at once, or published again after any request of it was cut off or lost.",
  needs: "redis",
  control: "the same faults do make a publication fail at first, and every waiting run is given out",
  async run(context) {
    const tally = createTally();
    await claims(context, tally);
    const bench = await openGitHub(context);
    await publications(context, tally, bench);
    await bench.close();
    return tally.verdict("one machine a run, one comment and one check run a run");
  },
};

async function claims(context: AttackContext, tally: Tally): Promise<void> {
  const { redis, prefix } = await context.redis();
  const clock = { now: () => Date.now() };
  for (let round = context.cases(150, 8); round > 0; round--) {
    const store = createRecordStore({ redis, prefix: prefix(), keepFinishedMs: limits.finishedRunMs });
    const records = createRecords({ store, clock });
    const wakeups = {
      wakeRun: async () => undefined,
      wakeMachine: async () => undefined,
      wakeLaunch: async () => undefined,
    };
    const dispatch = createDispatch({
      store,
      records,
      wakeups,
      clock,
      ids: randomIds,
      recheck: async () => null,
      perInstallationMax: null,
    });
    const runs = 1 + (round % 3);
    for (let i = 0; i < runs; i++) {
      await store.commit([{ kind: "run", value: queuedRun(clock.now()), version: 0 }]);
    }
    const machines = Array.from({ length: MACHINES }, () => readyMachine(clock.now()));
    for (const machine of machines) {
      await store.commit([{ kind: "machine", value: machine, version: 0 }]);
    }
    // Each machine asks twice, all at the same time; who was beaten to it asks again, as the broker lets it.
    const given = new Map<string, number>();
    for (let again = 0; again < TRIES_MAX; again++) {
      const answers = await Promise.all([...machines, ...machines].map(({ id }) => dispatch.claim(id)));
      answers.forEach((answer) => answer !== null && given.set(answer.run, (given.get(answer.run) ?? 0) + 1));
    }
    tally.control(given.size === runs, `${given.size} of ${runs} runs were given out`);
    const times = [...given.values()];
    tally.expect(
      times.every((count) => count === 1),
      () => `runs were given out ${times.join(", ")} times`,
    );
    const claimed = (await store.listLiveMachines()).filter(({ phase }) => phase === "claimed").length;
    tally.equal(claimed, runs, "claimed machines");
  }
}

/** Every request of a publication in turn is refused, cut off before it has an effect, or after. */
async function publications(context: AttackContext, tally: Tally, bench: GitHubBench): Promise<void> {
  const { github } = bench;
  const faults = [{ reset: true }, { lost: true }, { status: 500 }];
  let failed = 0;
  for (let point = 0; point < context.cases(POINTS, POINTS); point++) {
    for (const fault of context.isShort ? faults.slice(1, 2) : faults) {
      for (const isForgotten of context.isShort ? [true] : [false, true]) {
        const { run, pull, origin } = await bench.openRun();
        const ready = after(run, eventsUntilPublishing(origin));
        const answer = "All is well.";
        let publisher = await bench.publisher(() => answer);
        let left = point;
        const pathPattern = /^\/repos\/.*(?:check-runs|comments)/;
        // Counts down to the one request that meets it.
        pathPattern.test = (path) => /^\/repos\/.*(?:check-runs|comments)/.test(path) && left-- === 0;
        github.failNext({ pathPattern, ...fault });
        let event: RunEvent | null = null;
        for (let tries = 0; event === null && tries < TRIES_MAX; tries++) {
          event = await publisher.publish(ready).catch(() => null);
          failed += event === null ? 1 : 0;
          publisher = isForgotten ? await bench.publisher(() => answer) : publisher;
        }
        // Delivered once more, as a queue may: the fault may have waited for this.
        await publisher.publish(ready).catch(() => publisher.publish(ready));
        const { comments, checkRuns } = github.pullRequest(pull);
        const where = `request ${point} met ${JSON.stringify(fault)}${isForgotten ? ", all else forgotten" : ""}`;
        tally.equal([comments.length, checkRuns.length], [1, 1], `comments and check runs after ${where}`);
        tally.expect(event?.type === "published", () => `it is not published after ${where}`);
      }
    }
  }
  tally.control(failed > 0, "no fault was met at all");
}
