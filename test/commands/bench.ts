import type { DeliveryId, PullRequestOrigin, Run, RunId, Store } from "@mayfly/core";
import { systemClock } from "../../apps/orchestrator/src/host/clock.ts";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { createCommands } from "../../apps/orchestrator/src/intake/commands.ts";
import { createHandleDelivery } from "../../apps/orchestrator/src/intake/handle-delivery.ts";
import { createOperator } from "../../apps/orchestrator/src/intake/operator.ts";
import { createRunStarter } from "../../apps/orchestrator/src/intake/start-run.ts";
import { createPatchDecider } from "../../apps/orchestrator/src/publish/decide-patch.ts";
import { createTaskCheck } from "../../apps/orchestrator/src/publish/task-check.ts";
import { createRecords } from "../../apps/orchestrator/src/runs/records.ts";
import { createDeliveryStore, type DeliveryRecord } from "../../apps/orchestrator/src/store/deliveries.ts";
import { createPlaceStore } from "../../apps/orchestrator/src/store/places.ts";
import { createRecordStore } from "../../apps/orchestrator/src/store/records.ts";
import { createResultStore } from "../../apps/orchestrator/src/store/results.ts";
import { buildControlApi } from "../../apps/orchestrator/src/web/control-api.ts";
import { createContext } from "../attack/context.ts";
import { type GitHubBench, openGitHub } from "../attack/github-bench.ts";
import type { HeadSource } from "../fakes/github/control.ts";
import type { PullView } from "../fakes/github/views.ts";

export const LABEL = "codex-review";
export const GITHUB_HOST = "github.example.com";
const KEEP_MS = 3_600_000;
const ceiling = {
  labels: ["codex-*"],
  repositories: ["example-org/*"],
  models: ["*"],
  safetyStrategies: ["unprivileged-user"],
  publications: ["comment", "check", "review"],
  runMsMax: 600_000,
  setupHosts: [],
} as const;

/** The real intake over a real Redis, between it and GitHub's stand-in only what carries a delivery over. */
export interface CommandBench extends GitHubBench {
  readonly store: Store;
  /** Repositories whose mirrors were to go. */
  readonly forgotten: readonly number[];
  open(
    name: string,
    options?: {
      fork?: string;
      pushedAt?: number;
      tasks?: Record<string, string>;
      head?: HeadSource;
      /** More files of the base. */
      files?: Record<string, string>;
    },
  ): Promise<PullView>;
  /** Hands over the newest delivery of this event, and says what became of it. */
  handOver(
    event: string,
    id?: string,
    action?: string,
    change?: (body: Record<string, unknown>) => Record<string, unknown>,
  ): Promise<DeliveryRecord>;
  /** Where an operator asks; whoever wakes it takes the step at once. */
  readonly control: ReturnType<typeof buildControlApi>;
  runsOn(pull: PullView): Promise<{ run: Run; origin: PullRequestOrigin }[]>;
  /** What the App said there. */
  said(pull: PullView): string[];
  end(): Promise<void>;
}

export async function openCommands(): Promise<CommandBench> {
  const { context, close } = createContext({ seed: 1, isShort: true });
  const github = await openGitHub(context);
  const { redis, prefix: nextPrefix } = await context.redis();
  const prefix = nextPrefix();
  const clock = systemClock;
  const store = createRecordStore({ redis, prefix, keepFinishedMs: KEEP_MS });
  const deliveries = createDeliveryStore({ redis, prefix, keepMs: KEEP_MS, clock });
  const { reader, app } = github;
  const { log } = createLog({ level: "silent" });
  const facts = async () => ({ result: null, machines: [], spend: null });
  const forgotten: number[] = [];
  const decidePatch = createPatchDecider({ app, loadRun: store.loadRun, facts, log });
  const places = createPlaceStore({ redis, prefix });
  const handle = createHandleDelivery({
    places,
    operator: createOperator({ reader, store, places, labels: ceiling.labels, githubHost: GITHUB_HOST }),
    deliveries,
    store,
    records: createRecords({ store, clock }),
    wakeups: { wakeRun: async () => {}, wakeMachine: async () => {}, wakeLaunch: async () => {} },
    starter: createRunStarter({ reader, ceiling, modelDefault: "gpt-5.5" }),
    commands: createCommands({ reader, app, store, deliveries, labels: ceiling.labels, decidePatch }),
    decidePatch,
    taskCheck: createTaskCheck({ app, terms: { ceiling, modelDefault: "gpt-5.5" } }),
    clock,
    ids: randomIds,
    log,
    labels: ceiling.labels,
    appSlug: async () => (await app.identity()).slug,
    forgetRepository: async (id) => void forgotten.push(id),
  });
  const control = buildControlApi({
    store,
    deliveries,
    results: createResultStore({ redis, prefix, keepMs: KEEP_MS }),
    records: createRecords({ store, clock }),
    wakeups: { wakeRun: async () => {}, wakeDelivery: async (id) => void handle(id).catch(() => undefined) },
    archive: { ensureStored: async () => {}, read: async () => null },
  });
  return {
    ...github,
    control,
    store,
    forgotten,
    async end() {
      await control.close();
      await close();
    },
    async open(name, { tasks = { [LABEL]: "Review this.\n" }, files: more = {}, ...head } = {}) {
      const files = Object.fromEntries(
        Object.entries(tasks).map(([task, text]) => [`.github/codex/labels/${task}.md`, text]),
      );
      const made = await github.github.createRepository({
        owner: "example-org",
        name,
        files: { "README.md": "# A\n", ...files, ...more },
      });
      github.github.setRole(made.fullName, "maintainer", "maintain");
      github.github.setRole(made.fullName, "triager", "triage");
      return github.github.openPullRequest({
        repo: made.fullName,
        title: "Say more",
        author: "author",
        head: { files: { "README.md": "# A\n\nMore.\n" } },
        pushedAt: Date.now() - KEEP_MS,
        ...head,
      });
    },
    async handOver(event, id, action, change = (body) => body) {
      const sent = github.github.deliveries().findLast((one) => {
        return one.event === event && (action === undefined || one.action === action);
      });
      if (sent === undefined) {
        throw new Error(`GitHub sent no ${event}`);
      }
      const guid = (id ?? sent.guid) as DeliveryId;
      await deliveries.accept({
        id: guid,
        event,
        body: JSON.stringify(change(JSON.parse(sent.requestBody.toString()) as Record<string, unknown>)),
      });
      await handle(guid);
      const record = (await deliveries.listRecent(100)).find((one) => one.id === guid);
      if (record === undefined) {
        throw new Error("the delivery was not kept");
      }
      return record;
    },
    async runsOn(pull) {
      const runs = await store.listRecentRuns(100);
      return runs.flatMap((run: Run) => {
        const { origin } = run.request;
        const isHere =
          origin.kind === "pull_request" && `${origin.repository.owner}/${origin.repository.name}` === pull.repo;
        return isHere ? [{ run, origin }] : [];
      });
    },
    said: (pull) =>
      github.github
        .pullRequest(pull)
        .comments.filter(({ viaApp }) => viaApp)
        .map(({ body }) => body),
  };
}

export function runIdOf({ run, ...rest }: DeliveryRecord): RunId {
  if (run === null) {
    throw new Error(`the delivery started no run: ${rest.reason}`);
  }
  return run;
}
