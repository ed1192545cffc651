import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import {
  aliveUntil,
  type Attempt,
  type Budgets,
  type Clock,
  isAlive,
  isAppError,
  limits,
  type MachineId,
  type Prices,
  priceOf,
  rebuildModelRequest,
  reservationFor,
  type Run,
} from "@mayfly/core";
import type { FastifyReply } from "fastify";
import type { Logger } from "pino";
import type { Records } from "../runs/records.ts";
import { type ModelSpend, spendPlaceOf } from "../store/model-spend.ts";
import { decodeUtf8 } from "./json-bytes.ts";
import type { Loan } from "./issuers/attempt-credentials.ts";
import type { Credentials } from "./issuers/credentials.ts";
import { createCalls, type OpenCall } from "./model-gateway-calls.ts";
import { createCharge, type Charge } from "./model-gateway-charge.ts";
import { budgetSpent, modelCallRefused, Refusal } from "./refusal.ts";
import { readUpstreamError } from "./upstream-error.ts";
import { createPauses } from "./upstream-pause.ts";
import { type Upstream, UpstreamFault } from "./upstream-request.ts";
import { meteredStream } from "./upstream-stream.ts";

export interface ModelGatewayDeps {
  readonly upstream: Upstream;
  readonly credentials: Pick<Credentials, "lend">;
  readonly spend: Pick<ModelSpend, "reserve" | "settle" | "countRefusal">;
  /** Of one answer. */
  readonly outputTokensMax: number;
  readonly prices: Prices;
  readonly budgets: Budgets;
  readonly records: Pick<Records, "applyToRun">;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The API takes no smaller `max_output_tokens`: it answers `integer_below_min_value`. */
const OUTPUT_TOKENS_MIN = 16;
/** A second try asks for no more than was left; it fails where other calls have taken some of that meanwhile. */
const RESERVE_TRIES_MAX = 4;

/** What a machine says in a model call, and the attempt its key stands for. */
interface ModelCall {
  readonly run: Run;
  readonly attempt: Attempt;
  /** The body as it came. */
  readonly body: Uint8Array;
  /** Asked in the shorter shape of newer models (MODEL_SHAPE_HEADER). */
  readonly isLite: boolean;
}

/** Makes model calls for machines: each is rebuilt from what is known, charged before it is made, and settled after. */
export interface ModelGateway {
  /** Takes one of the machine's places, to be done before its key is looked at: a cut after that ends it. Throws BUSY, CALLS_CLOSED. */
  open(machine: MachineId, reply: FastifyReply): OpenCall;
  /**
   * Answers with the model's stream, or with its error in our words. Throws a Refusal with what may not be sent, is not
   * paid for or cannot be had; STORE_UNAVAILABLE, CREDENTIAL_UNAVAILABLE. What is refused is counted on the run.
   */
  forward(open: OpenCall, call: ModelCall, reply: FastifyReply): Promise<FastifyReply>;
  /** Ends every call of this machine at once. Idempotent. */
  cut(machine: MachineId): void;
  /** Machines that have calls under way. */
  machines(): MachineId[];
}

export function createModelGateway(deps: ModelGatewayDeps): ModelGateway {
  const { upstream, credentials, spend, records, clock, log } = deps;
  const calls = createCalls();
  const pauses = createPauses({ clock });

  async function forward(open: OpenCall, call: ModelCall, reply: FastifyReply): Promise<FastifyReply> {
    const { machine } = open;
    const seconds = pauses.left(machine);
    if (seconds > 0) {
      throw new Refusal("MODEL_PAUSED", { retryAfterSeconds: seconds });
    }
    const ms = aliveUntil(call.attempt) - clock.now();
    if (ms <= 0 || open.signal.aborted) {
      throw new Refusal("ENDED");
    }
    open.endAfter(ms);
    const { charge, body } = await admit(call);
    try {
      const { run } = await records.applyToRun(call.run.id, { type: "model_called", machine });
      // The last look before the model is asked: the attempt may have ended while its request was made ready.
      if (!isAlive(run, machine, clock.now())) {
        throw new Refusal("ENDED");
      }
      const answer = await ask(open, call, body);
      return await pass(open, charge, answer, reply);
    } catch (error) {
      await charge.settle(mayHaveCost(error) ? "all" : "request");
      throw open.signal.aborted ? new Refusal("ENDED") : refusalOf(error, machine);
    }
  }

  /** Rebuilds the request, its answer bounded by what is left of the budgets, and pays for the most it may take. */
  async function admit({ run, attempt, body }: ModelCall): Promise<{ charge: Charge; body: string }> {
    const { model } = run.request.task;
    const text = decodeUtf8(body);
    if (text === null) {
      throw modelCallRefused("BODY_NOT_TEXT", "body");
    }
    const price = priceOf(model, deps.prices);
    const payer = { run: run.id, epoch: attempt.epoch, ...spendPlaceOf(run.request) };
    let outputTokensMax = deps.outputTokensMax;
    for (let tries = 0; tries < RESERVE_TRIES_MAX; tries++) {
      const rebuilt = rebuildModelRequest(text, {
        model,
        cacheKey: cacheKeyOf(run),
        outputTokensMax,
        inputCharsMax: limits.modelRequestBytesMax,
      });
      if (!rebuilt.ok) {
        throw modelCallRefused(rebuilt.code, rebuilt.at);
      }
      const most = reservationFor(rebuilt, price);
      const reserved = await spend.reserve(payer, most, deps.budgets, price.output);
      if (reserved.ok) {
        return { charge: createCharge({ reservation: reserved.reservation, price, spend, log }), body: rebuilt.body };
      }
      outputTokensMax = reserved.outputTokensLeft ?? 0;
      if (outputTokensMax < OUTPUT_TOKENS_MIN) {
        throw budgetSpent(reserved);
      }
    }
    throw new Refusal("BUSY", { retryAfterSeconds: 1 });
  }

  /** The head of the model's answer. A credential that the model refuses is followed by another, if there is one, once. */
  async function ask(open: OpenCall, { run, attempt, isLite }: ModelCall, body: string): Promise<IncomingMessage> {
    async function lend(): Promise<Loan> {
      const seconds = Math.ceil((aliveUntil(attempt) - clock.now()) / 1000);
      const loan = await credentials.lend({ run: run.id, epoch: attempt.epoch, seconds });
      open.signal.addEventListener("abort", () => loan?.done());
      if (loan === null || open.signal.aborted) {
        loan?.done();
        throw new Refusal("ENDED");
      }
      return loan;
    }
    const { signal } = open;
    const first = await lend();
    const answer = await upstream.send({ body, isLite, credential: first.headers(), signal });
    if (answer.statusCode !== 401) {
      return answer;
    }
    first.refuse();
    const second = await lend();
    first.done();
    if (JSON.stringify(second.headers()) === JSON.stringify(first.headers())) {
      return answer;
    }
    answer.destroy();
    return await upstream.send({ body, isLite, credential: second.headers(), signal });
  }

  async function pass(
    { machine, signal }: OpenCall,
    charge: Charge,
    answer: IncomingMessage,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const status = answer.statusCode ?? 0;
    if (status >= 400 && status <= 599) {
      const { body, said } = await readUpstreamError(status, answer);
      await charge.settle("request");
      log.warn({ machine, status, code: body.error.code }, "the model refused a call");
      // Its own words may quote what it was asked.
      log.debug({ machine, said }, "what the model said");
      const retryAfter = answer.headers["retry-after"];
      const seconds = pauses.note(machine, { status, retryAfter, code: body.error.code });
      if (seconds !== null) {
        void reply.header("retry-after", String(seconds));
      }
      return reply.code(status).send(body);
    }
    if (!isStream(answer)) {
      answer.destroy();
      throw new Refusal("MODEL_ANSWER_INVALID");
    }
    signal.throwIfAborted();
    const stream = meteredStream(answer, { onUsage: charge.settle });
    stream.once("error", (error) => {
      if (!signal.aborted) {
        log.warn({ machine, err: error.message }, "a model answer was cut");
      }
    });
    // Whatever ended it: what was not counted by now is charged as it was reserved.
    stream.once("close", () => void charge.settle("all"));
    return reply.code(200).header("content-type", "text/event-stream").send(stream);
  }

  function refusalOf(error: unknown, machine: MachineId): unknown {
    if (error instanceof UpstreamFault) {
      log.warn({ machine, err: error.message }, "the model cannot be reached");
      return new Refusal("MODEL_UNREACHABLE");
    }
    return isAppError(error, "CREDENTIAL_REFUSED") ? new Refusal("CREDENTIAL_REFUSED") : error;
  }

  async function countRefusal(run: Run, { code, message }: Refusal): Promise<void> {
    log.warn({ run: run.id, code, why: message }, "a model call was refused");
    await spend.countRefusal(run.id, code).catch((err: unknown) => {
      log.warn({ run: run.id, err }, "a refused model call could not be counted");
    });
  }

  return {
    open: calls.open,
    async forward(open, call, reply) {
      try {
        return await forward(open, call, reply);
      } catch (error) {
        if (error instanceof Refusal && isOurs(error)) {
          open.noteRefused();
          await countRefusal(call.run, error);
        }
        throw error;
      }
    },
    machines: calls.machines,
    cut(machine) {
      calls.cut(machine);
      pauses.forget(machine);
    },
  };
}

/** The same for every attempt of the run, so that a second one finds the first one's cache; it tells nothing of the run. */
function cacheKeyOf(run: Run): string {
  return createHash("sha256").update(`mayfly cache key\n${run.id}`).digest("hex");
}

/** What we refuse, in contrast to what ended or what the model failed at. */
function isOurs({ code, status }: Refusal): boolean {
  return status === 400 || code === "MODEL_PAUSED";
}

/** Unless it is known that the model never heard the question, it may have computed an answer. */
function mayHaveCost(error: unknown): boolean {
  if (error instanceof UpstreamFault) {
    return error.wasAsked;
  }
  return error instanceof Refusal ? error.code === "MODEL_ANSWER_INVALID" : !isAppError(error);
}

/** What passes as an answer: a stream of events as they are, in no encoding that would hide them from the meter. */
function isStream({ statusCode, headers }: IncomingMessage): boolean {
  const type = headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  return (
    statusCode === 200 && type === "text/event-stream" && (headers["content-encoding"] ?? "identity") === "identity"
  );
}
