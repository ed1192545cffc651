import {
  AppError,
  decideRun,
  defaultTask,
  limits,
  type Publication,
  requestRun,
  type Run,
  type RunRequest,
  type Sources,
} from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { randomIds } from "../host/ids.ts";
import { createLog } from "../host/log.ts";
import type { Publisher } from "../publish/publisher.ts";
import type { Records } from "./records.ts";
import { createRunSteps } from "./steps.ts";

const NOW = Date.UTC(2026, 0, 5, 12);
const SECOND = 1000;
const published: Publication = { kind: "check", url: null, commentId: null, checkRunId: 1 };

interface Opened {
  readonly run?: Run;
  /** What is done for a run that has just been asked for. */
  readonly queued?: Partial<Pick<Sources, "ensurePacked"> & Pick<Publisher, "ensureProgress">>;
}

/** A run that waits to be published, woken every second as a busy service would. */
function open(publish: (at: number) => Publication, { run: first = runToPublish(), queued = {} }: Opened = {}) {
  let now = NOW;
  const clock = { now: () => now };
  let run = first;
  const tries: number[] = [];
  const records: Pick<Records, "applyToRun"> = {
    async applyToRun(_id, event) {
      const before = run;
      const decided = decideRun(run, event, now);
      run = decided.run;
      return { ...decided, changed: run !== before };
    },
  };
  const publisher: Pick<Publisher, "publish" | "cleanUp"> = {
    ...queued,
    async publish() {
      tries.push((now - NOW) / SECOND);
      return { type: "published", publication: publish(now) };
    },
    cleanUp: async () => undefined,
  };
  const wakeups: number[] = [];
  const steps = createRunSteps({
    records: records as Records,
    publisher: publisher as Publisher,
    sources: { ensureDropped: async () => undefined, ...queued } as unknown as Sources,
    wakeups: {
      wakeRun: async (_id, delayMs) => void wakeups.push(delayMs ?? 0),
      wakeMachine: async () => undefined,
      wakeLaunch: async () => undefined,
    },
    clock,
    log: createLog({ level: "silent" }).log,
    settlePatch: async () => undefined,
    storeReceipt: async () => undefined,
  });
  return {
    tries,
    wakeups,
    run: () => run,
    async pass(seconds: number) {
      for (let second = 0; second < seconds; second++) {
        await steps.stepRun(run.id);
        now += SECOND;
      }
    },
  };
}

function waitingRun(): Run {
  const origin = { kind: "pull_request", repository: { id: 1, owner: "o", name: "r" } } as RunRequest["origin"];
  const request = { origin, requestedAt: NOW, task: defaultTask("t", "m"), taskDigest: null, prompt: "p" };
  return requestRun({ id: randomIds.run(NOW), request, now: NOW });
}

function runToPublish(): Run {
  const ending = { outcome: "failed", code: "source_failed", detail: "no source" } as const;
  return decideRun(waitingRun(), { type: "stopped", ending }, NOW).run;
}

function unavailable(headers: Record<string, string> = {}): never {
  throw new AppError("GITHUB_UNAVAILABLE", "503", { cause: { status: 503, response: { headers } } });
}

describe("a publication that fails", () => {
  it("is tried again after pauses that grow to a minute, however often the run is woken", async () => {
    const bench = open(() => unavailable());
    await bench.pass(240);
    expect(bench.tries).toEqual([0, 2, 6, 14, 30, 62, 122, 182]);
    expect(bench.wakeups.slice(0, 3)).toEqual([2_000, 4_000, 8_000]);
  });

  it("is left alone as long as GitHub asked", async () => {
    const bench = open((at) => (at === NOW ? unavailable({ "retry-after": "90" }) : published));
    await bench.pass(89);
    expect([bench.tries, bench.run().phase]).toEqual([[0], "publishing"]);
    await bench.pass(2);
    expect([bench.tries, bench.run().phase]).toEqual([[0, 90], "done"]);
  });

  it("is given up at its time, and the run says so", async () => {
    const bench = open(() => {
      throw new Error("a bug");
    });
    await bench.pass(limits.publishMs / SECOND + 61);
    expect(bench.tries.length).toBeLessThan(40);
    expect(bench.run()).toMatchObject({ phase: "done", ending: { code: "publish_failed" } });
  });
});

describe("a run that was just asked for", () => {
  it("is shown while its source is still fetched", async () => {
    const shown = Promise.withResolvers<undefined>();
    const layout = { head: "a", base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "b" };
    const bench = open(() => published, {
      run: waitingRun(),
      queued: {
        ensureProgress: async () => shown.resolve(undefined),
        ensurePacked: async () => {
          await shown.promise;
          return layout;
        },
      },
    });
    await bench.pass(1);
    expect(bench.run()).toMatchObject({ phase: "queued", source: layout });
  });
});
