import {
  assertNever,
  type Clock,
  type DeliveryId,
  type Ending,
  type Ids,
  meaningOf,
  parseWebhook,
  type PullRequestOrigin,
  type Run,
  type RunId,
  type Store,
  type Trigger,
  triggerOf,
  type Wakeups,
} from "@mayfly/core";
import type { Logger } from "pino";
import type { Records } from "../runs/records.ts";
import type { DeliveryStore } from "../store/deliveries.ts";
import type { RunStarter } from "./start-run.ts";

export interface HandleDeliveryDeps {
  readonly deliveries: DeliveryStore;
  readonly store: Store;
  readonly records: Records;
  readonly wakeups: Wakeups;
  readonly starter: RunStarter;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** Labels that stand for tasks. */
  readonly labels: readonly string[];
  readonly appSlug: () => Promise<string>;
  /** Forgets what was fetched of a repository that the App has lost. */
  readonly forgetRepository: (id: number) => Promise<void>;
}

/** Handles one delivery to its end. Idempotent: a step that was interrupted is taken again from the start. */
export type HandleDelivery = (id: DeliveryId) => Promise<void>;

export function createHandleDelivery(deps: HandleDeliveryDeps): HandleDelivery {
  const { deliveries, log } = deps;
  return async (id) => {
    const open = await deliveries.loadOpen(id);
    if (open === null) {
      return;
    }
    const webhook = parseWebhook({ event: open.record.event, body: JSON.parse(open.body) as unknown });
    if (webhook.kind === "invalid") {
      await deliveries.close(id, "invalid", webhook.reason);
      return;
    }
    const meaning = meaningOf(webhook);
    const claimed = meaning === null ? { first: true as const } : await deliveries.claimMeaning(meaning, id);
    if (!claimed.first) {
      await deliveries.close(id, "ignored", `the same event as delivery ${claimed.by}`);
      return;
    }
    const trigger = triggerOf(webhook, { labels: deps.labels, appSlug: await deps.appSlug() });
    const { state, reason } = await act(deps, id, trigger);
    await deliveries.close(id, state, reason);
    log.info({ delivery: id, state, reason }, "a delivery was handled");
  };
}

async function act(
  deps: HandleDeliveryDeps,
  id: DeliveryId,
  trigger: Trigger,
): Promise<{ state: "ignored" | "started" | "applied"; reason: string }> {
  switch (trigger.kind) {
    case "ignore":
      return { state: "ignored", reason: trigger.reason };
    case "start":
      return start(deps, id, trigger);
    case "cancel": {
      const { repositoryId, number, label, ending } = trigger;
      const ended = await end(deps, ending, (origin) => {
        return (
          origin.repository.id === repositoryId &&
          origin.number === number &&
          (label === null || origin.label === label)
        );
      });
      return { state: "applied", reason: `${trigger.why}: ended ${ended} runs` };
    }
    case "supersede": {
      const { repositoryId, number, head, ending } = trigger;
      const ended = await end(deps, ending, (origin) => {
        return origin.repository.id === repositoryId && origin.number === number && origin.head !== head;
      });
      return { state: "applied", reason: `pushed: ended ${ended} runs` };
    }
    case "forget": {
      const { installation, repositoryIds, ending } = trigger;
      const ended = await end(deps, ending, (origin) => {
        return (
          origin.installation === installation &&
          (repositoryIds === null || repositoryIds.includes(origin.repository.id))
        );
      });
      for (const repository of repositoryIds ?? []) {
        await deps.forgetRepository(repository);
      }
      return { state: "applied", reason: `${ending.detail}: ended ${ended} runs` };
    }
    default:
      return assertNever(trigger);
  }
}

async function start(
  deps: HandleDeliveryDeps,
  id: DeliveryId,
  trigger: Trigger & { kind: "start" },
): Promise<{ state: "started"; reason: string }> {
  const { deliveries, store, clock, ids } = deps;
  const now = clock.now();
  const runId = await deliveries.ensureRun(id, ids.run(now));
  await supersedeOlder(deps, runId, trigger);
  if ((await store.loadRun(runId)) === null) {
    const run = await deps.starter.prepare({ id: runId, delivery: id, trigger, now });
    await store.commit([{ kind: "run", value: run, version: 0 }]);
  }
  await deps.wakeups.wakeRun(runId);
  return { state: "started", reason: `run ${runId}` };
}

/** One live run a pull request and task: the newer one counts. */
async function supersedeOlder(
  deps: HandleDeliveryDeps,
  id: RunId,
  trigger: Trigger & { kind: "start" },
): Promise<void> {
  const ending = { outcome: "superseded", code: "newer_run", detail: `the newer run is ${id}` } as const;
  await end(deps, ending, (origin, run) => {
    return (
      run.id !== id &&
      origin.repository.id === trigger.repository.id &&
      origin.number === trigger.pullRequest.number &&
      origin.label === trigger.label
    );
  });
}

async function end(
  deps: HandleDeliveryDeps,
  ending: Ending,
  concerns: (origin: PullRequestOrigin, run: Run) => boolean,
): Promise<number> {
  let ended = 0;
  for (const run of await deps.store.listLiveRuns()) {
    const { origin } = run.request;
    if (origin.kind === "pull_request" && concerns(origin, run)) {
      await deps.records.applyToRun(run.id, { type: "end", ending });
      await deps.wakeups.wakeRun(run.id);
      ended += 1;
    }
  }
  return ended;
}
