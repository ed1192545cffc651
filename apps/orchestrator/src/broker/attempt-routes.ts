import { Readable } from "node:stream";
import {
  type AgentEvent,
  ClaimRequest,
  EventBatch,
  GateReport,
  type HeartbeatAnswer,
  type Ids,
  limits,
  type MachineId,
  PROTOCOL_VERSIONS_SERVED,
  ResultFrame,
  type ResultStore,
  type Run,
  type RunEvent,
  type RunId,
  type Sources,
} from "@mayfly/core";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { z } from "zod";
import { hashOf } from "../runs/dispatch.ts";
import type { Authorise, Standing } from "./authorise.ts";
import { type ClaimsDeps, createClaims } from "./claims.ts";
import type { ModelGateway } from "./model-gateway.ts";
import { Refusal } from "./refusal.ts";
import type { SetupTunnels } from "./setup-tunnels.ts";

export interface AttemptRoutesDeps extends ClaimsDeps {
  readonly authorise: Authorise;
  readonly results: ResultStore;
  readonly sources: Pick<Sources, "openPack">;
  readonly gateway: ModelGateway;
  readonly tunnels: SetupTunnels;
  readonly ids: Ids;
  readonly log: Logger;
  /** The attempt calls no model any more: its credential can go. */
  readonly onModelDone: (run: RunId, epoch: number) => void;
}

/** Everything a machine may say, on its own channel. The machine is the channel's; nothing it sends says which it is. */
export function registerAttemptRoutes(app: FastifyInstance, machine: MachineId, deps: AttemptRoutesDeps): void {
  const { authorise, records, results, ids, clock } = deps;
  const claim = createClaims(machine, deps);

  /** Before a body is read, let alone parsed: what comes without its right costs nothing. */
  const withRight = {
    async onRequest({ headers }: FastifyRequest): Promise<void> {
      await authorise.capabilityOnceGood(machine, headers.authorization);
    },
  };

  async function tell(id: RunId, event: RunEvent): Promise<Run> {
    const { run } = await records.applyToRun(id, event);
    await deps.wakeups.wakeRun(id);
    return run;
  }

  app.post("/v1/claim", async (request, reply) => {
    const hello = parse(ClaimRequest, request.body);
    if (!PROTOCOL_VERSIONS_SERVED.includes(hello.protocol)) {
      throw new Refusal("PROTOCOL_UNKNOWN");
    }
    return (await claim(request.raw.socket)) ?? reply.code(204).send();
  });

  app.get("/v1/source", async (request, reply) => {
    const { run } = await authorise.capability(machine, request.headers.authorization);
    reply.header("content-type", "application/octet-stream");
    return reply.send(Readable.from(await deps.sources.openPack(run.id)));
  });

  app.post("/v1/gate", withRight, async (request) => {
    const { run } = await authorise.capability(machine, request.headers.authorization);
    const report = parse(GateReport, request.body);
    if (report.checks.some(({ ok }) => !ok) || report.safety_strategy !== run.request.task.safetyStrategy) {
      throw new Refusal("GATE_FAILED");
    }
    // The set-up is over: nothing that it opened is open when there may be a key.
    await deps.tunnels.cut(machine);
    const told = await tell(run.id, { type: "gate_passed", report, machine });
    if (told.phase === "running" && told.attempt.gate === null) {
      throw new Refusal("SETUP_OPEN");
    }
    return {};
  });

  app.post("/v1/key", async (request) => {
    const { run, attempt } = await authorise.capability(machine, request.headers.authorization);
    if (attempt.gate === null) {
      throw new Refusal("GATE_FAILED");
    }
    const key = ids.secret("mfk");
    await tell(run.id, { type: "key_lent", hash: hashOf(key), machine });
    return { key, seconds: Math.floor(limits.keyMs / 1000) };
  });

  app.post("/v1/heartbeat", async (request): Promise<HeartbeatAnswer> => {
    const standing = await authorise.capabilityOnceGood(machine, request.headers.authorization);
    await records.applyToMachine(machine, { type: "heard" });
    return { stop: reasonToStop(standing, clock.now()) };
  });

  app.post("/v1/events", { ...withRight, bodyLimit: limits.eventBatchBytesMax * 2 }, async (request) => {
    const { run, attempt } = await authorise.capability(machine, request.headers.authorization);
    const { first, events } = parse(EventBatch, request.body);
    const next = await results.appendEvents(run.id, attempt.epoch, first, events);
    for (const step of stepsOf(events, machine)) {
      await tell(run.id, step);
    }
    return { next };
  });

  app.post("/v1/freeze", async (request) => {
    const { run, attempt } = await authorise.capabilityOnceGood(machine, request.headers.authorization);
    // Before it is written down, since the store may be slow or away, and after it, for what began meanwhile.
    deps.gateway.cut(machine);
    await deps.tunnels.cut(machine);
    await tell(run.id, { type: "frozen", machine });
    deps.gateway.cut(machine);
    deps.onModelDone(run.id, attempt.epoch);
    return {};
  });

  app.post("/v1/result", { ...withRight, bodyLimit: limits.resultBytesMax }, async (request) => {
    const { run, attempt } = await authorise.capabilityOnceGood(machine, request.headers.authorization);
    const frame = parse(ResultFrame, request.body);
    if (frame.epoch !== attempt.epoch) {
      throw new Refusal("RESULT_TAKEN");
    }
    if (run.phase !== "running") {
      // The same frame again, since our answer was lost, is fine; anything else comes too late.
      if ((await results.getResult(run.id, attempt.epoch)) === null) {
        throw new Refusal("ENDED");
      }
      return {};
    }
    const digest = await results.putResult(run.id, attempt.epoch, frame);
    deps.gateway.cut(machine);
    await deps.tunnels.cut(machine);
    deps.onModelDone(run.id, attempt.epoch);
    // One may have been kept before this one came: the run ends as that one says, for that one is published.
    const kept = (await results.getResult(run.id, attempt.epoch)) ?? frame;
    await tell(run.id, { type: "result", frame: kept, digest, machine });
    return {};
  });
}

/** Reads a body as its schema says. Throws BODY_INVALID; what was wrong with it is the agent's own business. */
function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (!parsed.success) {
    throw new Refusal("BODY_INVALID");
  }
  return parsed.data;
}

function reasonToStop({ run, attempt }: Standing, now: number): HeartbeatAnswer["stop"] {
  if (run.phase === "running") {
    return now >= attempt.deadline ? "deadline" : null;
  }
  return "ending" in run && run.ending.outcome === "superseded" ? "superseded" : "cancelled";
}

function stepsOf(events: readonly AgentEvent[], machine: MachineId): RunEvent[] {
  return events.flatMap(({ type }): RunEvent[] =>
    type === "source_ready" || type === "codex_started" || type === "codex_exited"
      ? [{ type: "step", step: type, machine }]
      : [],
  );
}
