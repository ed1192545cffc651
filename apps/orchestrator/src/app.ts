import { strict as assert } from "node:assert";
import {
  type Budgets,
  type Ceiling,
  type Channels,
  type Clock,
  type FleetSettings,
  type Ids,
  limits,
  type Prices,
  type Provider,
  type PullRequestOrigin,
  type Receipt,
  renderReceipt,
  type Run,
  type RunId,
  type SecretHit,
  type Store,
} from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { registerMachineLookup } from "./broker/enrolment/lookup-server.ts";
import type { Confine } from "./confine/confinement.ts";
import { uidOffsets } from "./confine/uid-offsets.ts";
import { createFleet } from "./fleet/controller.ts";
import { createLaunchSteps } from "./fleet/launch-steps.ts";
import { createMachineSteps } from "./fleet/machine-steps.ts";
import { createNoticeHandler, type Notices } from "./fleet/notices.ts";
import type { GitHubApp } from "./github/app.ts";
import { createPullRequestReader, placeOf } from "./github/pull-requests.ts";
import { createHandleDelivery } from "./intake/handle-delivery.ts";
import { createRedelivery } from "./intake/redelivery.ts";
import { createCommands } from "./intake/commands.ts";
import { createOperator } from "./intake/operator.ts";
import { createRunStarter } from "./intake/start-run.ts";
import { buildWebhookServer } from "./intake/webhook-server.ts";
import { settlePatch } from "./publish/settle-patch.ts";
import { createPatchDecider } from "./publish/decide-patch.ts";
import { createPublisher } from "./publish/publisher.ts";
import { createTaskCheck } from "./publish/task-check.ts";
import { createDispatch } from "./runs/dispatch.ts";
import { buildDispatchServer } from "./runs/dispatch-server.ts";
import { createGatherFacts, type GatherFacts } from "./runs/facts.ts";
import { createRecheckRun } from "./runs/recheck-run.ts";
import { createRecords } from "./runs/records.ts";
import { createRunSteps } from "./runs/steps.ts";
import { createWakeupQueue, type WakeupQueue } from "./runs/wakeups.ts";
import { sealReceipt, type SignReceipt } from "./signer/seal-receipt.ts";
import { createSources, type SourceKeeper } from "./source/sources.ts";
import { archiveFolder, createFolderArchive } from "./store/archive.ts";
import { connectForCommands, connectForQueue, type RedisAddress, waitUntilReady } from "./store/connection.ts";
import { createContentCount } from "./store/content.ts";
import { createDeliveryStore } from "./store/deliveries.ts";
import { createLeases } from "./store/leases.ts";
import { createPlaceStore } from "./store/places.ts";
import { createStickyStore } from "./store/stickies.ts";
import { createStores, REDIS_PREFIX } from "./store/stores.ts";
import { buildControlApi } from "./web/control-api.ts";

/** How often what there is is compared with what should be: the longest that a lost wake-up delays anything. */
const RECONCILE_MS = 1_000;
/** How often GitHub's delivery log is compared with what we have. */
const REDELIVERY_MS = 120_000;
const REDIS_START_MS = 10_000;

/** Everything the service is made of that is not made here: ports, so that a test or a simulation can put its own. */
export interface ServiceDeps {
  readonly stateDir: string;
  /** What several hosts share: receipts, and source for whichever broker is asked. */
  readonly sharedDir: string;
  readonly redis: RedisAddress;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly provider: Provider;
  /** What is told of machines from outside; null or absent where nobody tells. */
  readonly notices?: Notices | null;
  /** Called once the service is closed: ends what the provider has open. */
  readonly release?: () => void;
  readonly channels: Channels;
  readonly confine: Confine;
  readonly removeConfined: (path: string) => Promise<void>;
  readonly modelDefault: string;
  readonly budgets: Budgets;
  readonly prices: Prices;
  readonly github: GitHubApp;
  readonly githubHost: string;
  readonly gitUrl: (origin: PullRequestOrigin) => string;
  /** Empty where another host takes webhooks, or nobody. */
  readonly webhookSecrets: readonly string[];
  /** Whether there is a delivery log of GitHub's to look through. */
  readonly looksForDeliveries: boolean;
  /** Whether other services may work on the same records: then a step is taken by one of them at a time. */
  readonly isOneOfMany: boolean;
  /** Looks for credentials in texts of this run that are about to be published. */
  readonly findSecrets: (texts: readonly string[], run: RunId) => Promise<readonly SecretHit[]>;
  /** Null where nobody holds a key for it: receipts of local runs are not signed. */
  readonly signReceipt: SignReceipt | null;
  readonly policy: Ceiling;
  /** Whether pull requests that change task files get a check that says what the change comes to. */
  readonly checksTasks: boolean;
  readonly fleet: FleetSettings;
  readonly launchFailuresMax: number | null;
  /** What a simulation puts in the place of parts that live by the wall clock or outside this process. */
  readonly simulated?: Partial<SimulatedParts>;
}

interface SimulatedParts {
  readonly connect: typeof connectForCommands;
  readonly wakeups: WakeupQueue;
  readonly sources: SourceKeeper;
}

export interface Service {
  readonly store: Store;
  /** A finished run's receipt, as stored; null while there is none. */
  readonly readReceipt: (run: RunId) => Promise<Receipt | null>;
  /** What a run's record does not carry: its result, its machines. */
  readonly facts: GatherFacts;
  readonly webhook: FastifyInstance;
  readonly control: FastifyInstance;
  /** Where the broker asks for a run. */
  readonly dispatch: FastifyInstance;
  /** A run that was asked for otherwise than by a webhook. */
  submit(run: Run): Promise<void>;
  /** Ends a run by an operator's wish; its machine is destroyed. Idempotent. */
  cancel(run: RunId): Promise<void>;
  /** Begins to work. */
  start(): Promise<void>;
  /** Gives out no run from now on: the first thing to do for one whose answers may not be heard any more. Idempotent. */
  stopClaims(): Promise<void>;
  /** Stops work and lets go. Machines live on and are adopted by the next start. */
  close(): Promise<void>;
}

/** Puts the service together. Nothing runs before `start`. Throws STORE_UNAVAILABLE. */
export async function buildService(deps: ServiceDeps): Promise<Service> {
  const { clock, ids, log, provider } = deps;
  const { connect = connectForCommands } = deps.simulated ?? {};
  const redis = connect(deps.redis);
  await waitUntilReady(redis, REDIS_START_MS);
  const shared = { redis, prefix: REDIS_PREFIX };
  const { store, results, spend } = createStores({ redis, clock });
  const deliveries = createDeliveryStore({ ...shared, keepMs: limits.deliveryMemoryMs, clock });
  const stickies = createStickyStore(shared);
  const archive = createFolderArchive(archiveFolder(deps.sharedDir));
  const wakeups =
    deps.simulated?.wakeups ??
    createWakeupQueue({ connect: () => connectForQueue(deps.redis), prefix: REDIS_PREFIX, log });
  const records = createRecords({ store, clock });
  const facts = createGatherFacts({ store, results, spend, budgets: deps.budgets, prices: deps.prices });

  const reader = createPullRequestReader(deps.github);
  const recheck = createRecheckRun(reader);
  const sources =
    deps.simulated?.sources ??
    createSources({
      stateDir: deps.stateDir,
      sharedDir: deps.sharedDir,
      confine: deps.confine,
      firstUidOffset: uidOffsets.source.first,
      remove: deps.removeConfined,
      gitUrl: deps.gitUrl,
      listCommits: (origin) => reader.commitsOf(origin),
      withReadToken: (origin, use) => deps.github.withToken("source", placeOf(origin), use),
      log,
    });
  const content = createContentCount({ ...shared, clock });
  deps.github.onWrite(({ installation }) => {
    content.add(installation).catch((err: unknown) => log.warn({ err }, "what was written on GitHub is not counted"));
  });
  const publisher = createPublisher({
    app: deps.github,
    facts,
    stickies,
    recheck,
    content,
    loadRun: store.loadRun,
    readEvents: results.readEvents,
    listLiveRuns: store.listLiveRuns,
    githubHost: deps.githubHost,
    findSecrets: deps.findSecrets,
    clock,
    log,
  });
  const decidePatch = createPatchDecider({ app: deps.github, loadRun: store.loadRun, facts, log });
  const runSteps = createRunSteps({
    records,
    sources,
    publisher,
    wakeups,
    clock,
    log,
    settlePatch: (run) => settlePatch(decidePatch, run),
    storeReceipt: async (run) => archive.ensureStored(`${run.id}.json`, await receiptOf(run)),
  });

  const fleet = createFleet({
    store,
    records,
    provider,
    wakeups,
    clock,
    ids,
    log,
    settings: deps.fleet,
    launchFailuresMax: deps.launchFailuresMax,
  });
  const machineSteps = createMachineSteps({
    records,
    provider,
    channels: deps.channels,
    wakeups,
    clock,
    log,
  });
  const launchSteps = createLaunchSteps({ store, records, provider, wakeups, clock, log });

  const places = createPlaceStore(shared);
  const handleDelivery = createHandleDelivery({
    deliveries,
    store,
    records,
    wakeups,
    starter: createRunStarter({ reader, ceiling: deps.policy, modelDefault: deps.modelDefault }),
    commands: createCommands({
      reader,
      app: deps.github,
      store,
      deliveries,
      labels: deps.policy.labels,
      decidePatch,
      log,
    }),
    clock,
    ids,
    log,
    labels: deps.policy.labels,
    appSlug: async () => (await deps.github.identity()).slug,
    forgetRepository: (id) => sources.ensureRepositoryRemoved(id),
    decidePatch,
    taskCheck: deps.checksTasks
      ? createTaskCheck({ app: deps.github, terms: { ceiling: deps.policy, modelDefault: deps.modelDefault } })
      : null,
    places,
    operator: createOperator({
      reader,
      store,
      places,
      labels: deps.policy.labels,
      githubHost: deps.githubHost,
    }),
  });
  const redelivery = createRedelivery({ app: deps.github, deliveries, clock, log });

  async function receiptOf(run: Run): Promise<string> {
    assert(run.phase === "done", "a receipt is for a run that has ended");
    return sealReceipt(renderReceipt(run, await facts(run)), deps.signReceipt);
  }

  const leases = createLeases(shared);

  function alone<Id extends string>(kind: string, step: (id: Id) => Promise<unknown>): (id: Id) => Promise<void> {
    return async (id) => {
      await (deps.isOneOfMany ? leases.alone(`${kind}:${id}`, () => step(id)) : step(id));
    };
  }

  let looking: NodeJS.Timeout | null = null;

  async function reconcile(): Promise<void> {
    await fleet.reconcile();
    for (const id of await deliveries.listOpen()) {
      await wakeups.wakeDelivery(id);
    }
  }

  const webhook = buildWebhookServer({ secrets: deps.webhookSecrets, deliveries, wake: wakeups.wakeDelivery, log });
  const claims = createDispatch({
    store,
    records,
    wakeups,
    clock,
    ids,
    recheck,
    perInstallationMax: deps.fleet.machinesPerInstallationMax,
    log,
  });
  const dispatch = buildDispatchServer(claims);
  registerMachineLookup(dispatch, { list: () => provider.list(clock.now()) });
  const control = buildControlApi({ store, results, records, deliveries, wakeups, archive });

  return {
    store,
    facts,
    webhook,
    control,
    dispatch,
    async readReceipt(run) {
      const text = await archive.read(`${run}.json`);
      return text === null ? null : (JSON.parse(text) as Receipt);
    },
    async submit(run) {
      await store.commit([{ kind: "run", value: run, version: 0 }]);
      await wakeups.wakeRun(run.id);
    },
    async cancel(id) {
      const ending = { outcome: "cancelled", code: "operator", detail: "an operator cancelled it" } as const;
      await records.applyToRun(id, { type: "end", ending });
      await wakeups.wakeRun(id);
    },
    async start() {
      // Before any step is taken: adopts what a service before us left at work.
      await fleet.reconcile();
      await wakeups.start({
        run: alone("run", runSteps.stepRun),
        machine: alone("machine", machineSteps.stepMachine),
        launch: alone("launch", launchSteps.stepLaunch),
        delivery: alone("delivery", handleDelivery),
        reconcile,
        reconcileMs: RECONCILE_MS,
      });
      deps.notices?.start(createNoticeHandler({ store, records, wakeups, log }));
      if (deps.looksForDeliveries) {
        const lookAlone = alone("redelivery", () => redelivery.look());
        const look = () =>
          void lookAlone("github").catch((err: unknown) =>
            log.warn({ err }, "GitHub's delivery log could not be read"),
          );
        looking = setInterval(look, REDELIVERY_MS);
        look();
      }
    },
    stopClaims: () => claims.close(),
    async close() {
      await claims.close();
      clearInterval(looking ?? undefined);
      await deps.notices?.close();
      await webhook.close();
      await control.close();
      await wakeups.close();
      await dispatch.close();
      redis.disconnect();
      deps.release?.();
    },
  };
}
