import {
  assertNever,
  type Clock,
  type DeliveryId,
  type Ending,
  type Ids,
  isByLabel,
  type Instant,
  isOperatorDelivery,
  meaningOf,
  OperatorAsk,
  parseWebhook,
  type PullRequestEvent,
  type PullRequestOrigin,
  readPlace,
  rerunMeaning,
  type Run,
  type RunId,
  type Store,
  type Trigger,
  triggerOf,
  type Wakeups,
  type Webhook,
  withOtherTasks,
} from "@mayfly/core";
import type { Logger } from "pino";
import { isFinal } from "../github/app.ts";
import type { DecidePatch } from "../publish/decide-patch.ts";
import type { TaskCheck } from "../publish/task-check.ts";
import type { Records } from "../runs/records.ts";
import type { DeliveryRecord, DeliveryStore } from "../store/deliveries.ts";
import type { PlaceStore } from "../store/places.ts";
import type { Commands } from "./commands.ts";
import type { Operator } from "./operator.ts";
import type { RunStarter } from "./start-run.ts";

export interface HandleDeliveryDeps {
  readonly deliveries: DeliveryStore;
  readonly store: Store;
  readonly records: Records;
  readonly wakeups: Wakeups;
  readonly starter: RunStarter;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** Labels that stand for tasks. */
  readonly labels: readonly string[];
  readonly appSlug: () => Promise<string>;
  /** Forgets what was fetched of a repository that the App has lost. */
  readonly forgetRepository: (id: number) => Promise<void>;
  /** What an operator's wish comes to, which is kept among the deliveries. */
  readonly operator: Operator;
  readonly places: PlaceStore;
  /** Puts a run's patch on its branch or discards it, or says on its check why not. Answers with that. Idempotent. */
  readonly decidePatch: DecidePatch;
  /** Null where the operator wants no look at task files. */
  readonly taskCheck: TaskCheck | null;
}

/** Runs looked through for repositories whose mirrors are to go. */
const RUNS_MAX = 2_000;

/** Handles one delivery to its end. Idempotent: a step that was interrupted is taken again from the start. */
export type HandleDelivery = (id: DeliveryId) => Promise<void>;

export function createHandleDelivery(deps: HandleDeliveryDeps): HandleDelivery {
  const { deliveries, log } = deps;
  return async (id) => {
    const open = await deliveries.loadOpen(id);
    if (open === null) {
      return;
    }
    const body = JSON.parse(open.body) as unknown;
    if (isOperatorDelivery(id)) {
      const { state, reason } = await obeyOperator(deps, open.record, body);
      await deliveries.close(id, state, reason);
      log.info({ delivery: id, state, reason }, "an operator's wish was handled");
      return;
    }
    const place = readPlace(body);
    if (place !== null) {
      await deps.places.note(place.owner, place.name, { installation: place.installation, repository: place.id });
    }
    const webhook = parseWebhook({ event: open.record.event, body });
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
    const at = timeOf(webhook, open.record.receivedAt);
    const acted = await act(deps, { id, at, run: open.record.run }, trigger);
    const { state, reason } = await withTasks(deps, withOtherTasks(webhook), acted);
    await deliveries.close(id, state, reason);
    log.info({ delivery: id, state, reason }, "a delivery was handled");
  };
}

function timeOf(webhook: Webhook, receivedAt: Instant): Instant {
  if ("pullRequest" in webhook) {
    return webhook.pullRequest.updatedAt;
  }
  // GitHub does not say when a button was pressed.
  switch (webhook.kind) {
    case "comment":
      return webhook.comment.createdAt;
    case "rerun":
    case "rerun_all":
      return receivedAt;
    default:
      return Infinity;
  }
}

/** What a delivery is, apart from what it asks for. */
interface Occasion {
  readonly id: DeliveryId;
  /** When it happened, by GitHub's clock: one that comes late does not touch what was asked for since. */
  readonly at: Instant;
  /** The run it has started already, when a step is taken again. */
  readonly run: RunId | null;
  /** Which of several things that it asks for this is. */
  readonly part?: string;
}

/** What became of a delivery, and the look at task files that goes with it. */
async function withTasks(
  { taskCheck }: HandleDeliveryDeps,
  event: PullRequestEvent | null,
  acted: Became,
): Promise<Became> {
  if (event === null || taskCheck === null) {
    return acted;
  }
  const found = await taskCheck.ensureShown(event).catch(refusalOf);
  return { state: "applied", reason: acted.state === "ignored" ? found : `${acted.reason}; ${found}` };
}

/** Whoever presses gets no more than a look, so nothing is asked about them: GitHub lets those press who may write. */
async function recheckTasks(
  { taskCheck }: HandleDeliveryDeps,
  trigger: Trigger & { kind: "recheck_tasks" },
): Promise<Became> {
  return taskCheck === null
    ? { state: "ignored", reason: "the check on task files is switched off" }
    : { state: "applied", reason: await taskCheck.ensureShownAgain(trigger).catch(refusalOf) };
}

/** What became of it. */
interface Became {
  readonly state: "ignored" | "started" | "applied";
  readonly reason: string;
}

async function act(deps: HandleDeliveryDeps, occasion: Occasion, trigger: Trigger): Promise<Became> {
  switch (trigger.kind) {
    case "ignore":
      return { state: "ignored", reason: trigger.reason };
    case "start":
      return start(deps, occasion, trigger);
    case "command":
    case "rerun":
      return obey(deps, occasion, trigger);
    case "recheck_tasks":
      return recheckTasks(deps, trigger);
    case "rerun_all":
      return rerunAll(deps, occasion, trigger);
    case "cancel": {
      const { repositoryId, number, label, ending } = trigger;
      const ended = await end(deps, { ending, at: occasion.at }, (origin, run) => {
        return (
          origin.repository.id === repositoryId &&
          origin.number === number &&
          (label === null || origin.label === label) &&
          (trigger.why !== "label_removed" || isByLabel(origin)) &&
          (trigger.why !== "drafted" || run.request.task.onDraft === "cancel")
        );
      });
      return { state: "applied", reason: `${trigger.why}: runs ended: ${ended}` };
    }
    case "supersede": {
      const { repositoryId, number, head, ending } = trigger;
      const ended = await end(deps, { ending, at: occasion.at }, (origin) => {
        return origin.repository.id === repositoryId && origin.number === number && origin.head !== head;
      });
      return { state: "applied", reason: `pushed: runs ended: ${ended}` };
    }
    case "retarget": {
      const { repositoryId, number, base, ending } = trigger;
      const ended = await end(deps, { ending, at: occasion.at }, (origin) => {
        return origin.repository.id === repositoryId && origin.number === number && origin.baseRef !== base;
      });
      return { state: "applied", reason: `base_changed: runs ended: ${ended}` };
    }
    case "forget": {
      const { installation, isWhole, repositoryIds, ending } = trigger;
      const ended = await end(deps, { ending, at: occasion.at }, (origin) => {
        return origin.installation === installation && (isWhole || repositoryIds.includes(origin.repository.id));
      });
      const known = isWhole ? await repositoriesOf(deps, installation) : [];
      for (const repository of new Set([...repositoryIds, ...known])) {
        await deps.forgetRepository(repository);
      }
      return { state: "applied", reason: `${ending.detail}: runs ended: ${ended}` };
    }
    case "apply":
    case "discard":
      return { state: "applied", reason: await deps.decidePatch(trigger) };
    default:
      return assertNever(trigger);
  }
}

/** What an installation's runs were on, as far as they are on record: GitHub need not name all that it loses. */
async function repositoriesOf({ store }: HandleDeliveryDeps, installation: number): Promise<number[]> {
  return (await store.listRecentRuns(RUNS_MAX)).flatMap(({ request: { origin } }) => {
    return origin.kind === "pull_request" && origin.installation === installation ? [origin.repository.id] : [];
  });
}

/** A command or a button: what it comes to is asked of GitHub, and then it is a start or an end like any other. */
async function obey(
  deps: HandleDeliveryDeps,
  occasion: Occasion,
  asked: Trigger & { kind: "command" | "rerun" },
): Promise<Became> {
  const { id, at, run } = occasion;
  if (run !== null && (await deps.store.loadRun(run)) !== null) {
    await deps.wakeups.wakeRun(run);
    return { state: "started", reason: `run ${run}` };
  }
  const answer = await deps.commands.resolve(id, asked, at).catch(refusalOf);
  if (typeof answer === "string") {
    return { state: "ignored", reason: answer };
  }
  switch (answer.kind) {
    case "start":
      return start(deps, occasion, answer);
    case "cancel":
      return act(deps, occasion, answer);
    case "said":
      return { state: "applied", reason: answer.reason };
    default:
      return assertNever(answer);
  }
}

/** Where to and by whom is asked of GitHub, then it is a start like any other: policy, the ceiling and the caps hold. */
async function obeyOperator(
  deps: HandleDeliveryDeps,
  { id, run, receivedAt: at }: DeliveryRecord,
  body: unknown,
): Promise<Became> {
  if (run !== null && (await deps.store.loadRun(run)) !== null) {
    await deps.wakeups.wakeRun(run);
    return { state: "started", reason: `run ${run}` };
  }
  const answer = await deps.operator.resolve(OperatorAsk.parse(body), at).catch(refusalOf);
  return typeof answer === "string" ? { state: "ignored", reason: answer } : start(deps, { id, at, run }, answer);
}

/** Each check by the rules of its own button, and each once, whether GitHub sends word of both or of one. */
async function rerunAll(
  deps: HandleDeliveryDeps,
  occasion: Occasion,
  trigger: Trigger & { kind: "rerun_all" },
): Promise<Became> {
  const { deliveries } = deps;
  const { id } = occasion;
  const found = await deps.commands.listReruns(trigger.event).catch(refusalOf);
  if (typeof found === "string") {
    return { state: "ignored", reason: found };
  }
  const became: Became[] = [...found.passedOver];
  for (const { checkId, trigger: rerun } of found.reruns) {
    if (rerun.kind === "recheck_tasks") {
      became.push(await recheckTasks(deps, rerun));
      continue;
    }
    const part = String(checkId);
    const claimed = await deliveries.claimMeaning(rerunMeaning(trigger.event.repository.id, checkId), id);
    became.push(
      claimed.first
        ? await act(deps, { ...occasion, part, run: await deliveries.runOf(id, part) }, rerun)
        : { state: "ignored", reason: `its check was run again by delivery ${claimed.by}` },
    );
  }
  const state = (["started", "applied"] as const).find((one) => became.some((each) => each.state === one)) ?? "ignored";
  const reasons = became.map(({ reason }) => reason);
  return { state, reason: reasons.length === 0 ? "no check of Mayfly's is on that commit" : reasons.join("; ") };
}

async function start(
  deps: HandleDeliveryDeps,
  occasion: Occasion,
  trigger: Trigger & { kind: "start" },
): Promise<{ state: "started" | "ignored"; reason: string }> {
  const { deliveries, store, clock, ids } = deps;
  const { id } = occasion;
  const at = trigger.asked?.at ?? occasion.at;
  const concerns = (origin: PullRequestOrigin) =>
    origin.repository.id === trigger.repository.id &&
    origin.number === trigger.pullRequest.number &&
    origin.label === trigger.label;
  const newer = occasion.run === null ? await findNewer(deps, at, concerns) : null;
  if (newer !== null) {
    return { state: "ignored", reason: `it was asked for again since, which started run ${newer}` };
  }
  const now = clock.now();
  const runId = await deliveries.ensureRun(id, ids.run(now), occasion.part);
  if ((await store.loadRun(runId)) === null) {
    const run = await deps.starter.prepare({ id: runId, delivery: id, trigger, now }).catch(refusalOf);
    if (typeof run === "string") {
      return { state: "ignored", reason: run };
    }
    await store.commit([{ kind: "run", value: run, version: 0 }]);
  }
  // One live run a pull request and task: the newer one counts. It is on record by now, so the older leaves its label on.
  const ending = { outcome: "superseded", code: "newer_run", detail: `the newer run is ${runId}` } as const;
  await end(deps, { ending, at }, (origin, run) => run.id !== runId && concerns(origin));
  await deps.wakeups.wakeRun(runId);
  return { state: "started", reason: `run ${runId}` };
}

/** GitHub's last word on a delivery; what may pass is thrown on. */
function refusalOf(error: unknown): string {
  if (!isFinal(error)) {
    throw error;
  }
  return `${error.message}. ${error.fix}`;
}

async function findNewer(
  deps: HandleDeliveryDeps,
  at: Instant,
  concerns: (origin: PullRequestOrigin) => boolean,
): Promise<RunId | null> {
  const runs = await deps.store.listLiveRuns();
  const newer = runs.find(({ request: { origin, requestedAt } }) => {
    return origin.kind === "pull_request" && requestedAt > at && concerns(origin);
  });
  return newer?.id ?? null;
}

async function end(
  deps: HandleDeliveryDeps,
  { ending, at }: { ending: Ending; at: Instant },
  concerns: (origin: PullRequestOrigin, run: Run) => boolean,
): Promise<number> {
  let ended = 0;
  for (const run of await deps.store.listLiveRuns()) {
    const { origin, requestedAt } = run.request;
    if (origin.kind === "pull_request" && requestedAt <= at && concerns(origin, run)) {
      await deps.records.applyToRun(run.id, { type: "end", ending });
      await deps.wakeups.wakeRun(run.id);
      ended += 1;
    }
  }
  return ended;
}
