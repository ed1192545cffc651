import {
  type AgentEvent,
  AppError,
  type Archive,
  type Ending,
  isAppError,
  isRunId,
  type ResultStore,
  type Run,
  type RunId,
  type Store,
} from "@mayfly/core";
import { fastify, type FastifyInstance } from "fastify";
import type { Records } from "../runs/records.ts";
import type { WakeupQueue } from "../runs/wakeups.ts";
import type { DeliveryRecord, DeliveryStore } from "../store/deliveries.ts";
import { createAskRun } from "./ask-run.ts";

/** Runs listed at once. */
const LIST_MAX = 1_000;
const LIST_DEFAULT = 50;

/** One line of `mayfly run list`. */
export interface RunSummary {
  readonly id: RunId;
  readonly phase: Run["phase"];
  readonly outcome: string | null;
  readonly about: string;
  readonly task: string;
  readonly createdAt: number;
  readonly waitingFor: string | null;
}

/** Everything `mayfly run view` shows. */
export interface RunView {
  readonly run: Run;
  readonly events: readonly AgentEvent[];
  /** The receipt, once the run has ended. */
  readonly receipt: unknown;
}

/** What `mayfly run start` and `mayfly run retry` are answered. */
export interface StartedRun {
  readonly run: RunSummary;
  readonly isNew: boolean;
  /** How it ended, where it has, as one that was refused. */
  readonly ending: Ending | null;
}

export interface ControlApiDeps {
  readonly store: Store;
  readonly results: ResultStore;
  readonly records: Records;
  readonly deliveries: DeliveryStore;
  readonly wakeups: Pick<WakeupQueue, "wakeRun" | "wakeDelivery">;
  readonly archive: Archive;
}

/**
 * What an operator on this host may ask: listens on a unix socket in the state folder, which only the service's user and
 * root can reach. Readiness is here too: it writes and reads the store, for a Redis that answers PING may be full.
 */
export function buildControlApi(deps: ControlApiDeps): FastifyInstance {
  const { store, records, results, deliveries, wakeups, archive } = deps;
  const app = fastify({ forceCloseConnections: true });
  app.setErrorHandler((error, _request, reply) => {
    const known = isAppError(error)
      ? error
      : new AppError("STORE_UNAVAILABLE", "an unexpected fault", { cause: error });
    return reply.code(known.status).send({ error: { code: known.code, message: known.message, fix: known.fix } });
  });

  const askRun = createAskRun({ deliveries, store, wakeups });

  async function load(id: string): Promise<Run> {
    const found = isRunId(id) ? await store.loadRun(id) : null;
    if (found === null) {
      throw new AppError("NOT_FOUND", `there is no run ${id}`);
    }
    return found.value;
  }

  app.get("/ready", async () => ({ ready: true, machines: (await store.listLiveMachines()).length }));

  app.get<{ Querystring: { count?: string } }>("/runs", async (request) => {
    const count = Number(request.query.count ?? LIST_DEFAULT);
    const runs = await store.listRecentRuns(
      Number.isInteger(count) ? Math.min(Math.max(count, 1), LIST_MAX) : LIST_DEFAULT,
    );
    return { runs: runs.map(summarise) };
  });

  app.get<{ Params: { id: string } }>("/runs/:id", async (request): Promise<RunView> => {
    const run = await load(request.params.id);
    const receipt = await archive.read(`${run.id}.json`);
    return {
      run,
      events: run.epoch === 0 ? [] : await results.readEvents(run.id, run.epoch),
      receipt: receipt === null ? null : (JSON.parse(receipt) as unknown),
    };
  });

  app.post("/runs", async (request): Promise<StartedRun> => {
    const { run, isNew } = await askRun(request.body);
    return { run: summarise(run), isNew, ending: "ending" in run ? run.ending : null };
  });

  app.post<{ Params: { id: string } }>("/runs/:id/cancel", async (request) => {
    const run = await load(request.params.id);
    const ending = { outcome: "cancelled", code: "operator", detail: "an operator cancelled it" } as const;
    const { run: after, changed } = await records.applyToRun(run.id, { type: "end", ending });
    await wakeups.wakeRun(run.id);
    return { run: summarise(after), cancelled: changed };
  });

  app.get("/deliveries", async (): Promise<{ deliveries: DeliveryRecord[] }> => {
    return { deliveries: await deliveries.listRecent(LIST_MAX) };
  });

  return app;
}

function summarise(run: Run): RunSummary {
  const { origin, task } = run.request;
  return {
    id: run.id,
    phase: run.phase,
    outcome: "ending" in run ? run.ending.outcome : null,
    about:
      origin.kind === "local"
        ? origin.path
        : `${origin.repository.owner}/${origin.repository.name}#${origin.number} at ${origin.head.slice(0, 12)}`,
    task: task.name,
    createdAt: run.createdAt,
    waitingFor: run.phase === "queued" ? run.waitingFor : null,
  };
}
