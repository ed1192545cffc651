import { Readable, Transform } from "node:stream";
import { limits, MODEL_SHAPE_HEADER, type MachineId } from "@mayfly/core";
import type { FastifyReply } from "fastify";
import type { Logger } from "pino";
import { Refusal } from "./refusal.ts";

/** Where model calls go, and the credential that never leaves this process. */
export interface ModelUpstream {
  /** Base URL that ends before `/responses`. */
  readonly url: string;
  /** Asked for every call, so that a renewed credential counts at once. */
  credential(): string;
}

/** What a machine may say in a model call. */
interface ModelCall {
  readonly body: Uint8Array;
  /** Asked in the shorter shape of newer models (MODEL_SHAPE_HEADER). */
  readonly isLite: boolean;
}

/** Forwards model calls: one method, one path, headers of our own making. */
export interface ModelGateway {
  /** Answers with the model's own status and stream. Throws BUSY, MODEL_UNREACHABLE. */
  forward(machine: MachineId, call: ModelCall, reply: FastifyReply): Promise<FastifyReply>;
  /** Ends every call of this machine at once. Idempotent. */
  cut(machine: MachineId): void;
}

/** Headers of the model's answer that mean something to the CLI and nothing else. */
const ANSWER_HEADERS = ["content-type", "retry-after"];

/** The model's own words about a credential it refuses quote parts of it, so the machine gets ours instead. */
const CREDENTIAL_STATUSES = [401, 403];
const CREDENTIAL_REFUSED = {
  error: {
    message: "the model refuses the operator's credential",
    type: "invalid_request_error",
    param: null,
    code: "invalid_api_key",
  },
};

export function createModelGateway(deps: { upstream: ModelUpstream; log: Logger }): ModelGateway {
  const { upstream, log } = deps;
  const calls = new Map<MachineId, Set<AbortController>>();

  function begin(machine: MachineId): { abort: AbortController; end: () => void } {
    const mine = calls.get(machine) ?? new Set();
    if (mine.size >= limits.modelConcurrencyMax) {
      throw new Refusal("BUSY");
    }
    const abort = new AbortController();
    calls.set(machine, mine.add(abort));
    return {
      abort,
      end() {
        mine.delete(abort);
        if (mine.size === 0 && calls.get(machine) === mine) {
          calls.delete(machine);
        }
      },
    };
  }

  return {
    async forward(machine, { body, isLite }, reply) {
      const { abort, end } = begin(machine);
      reply.raw.once("close", () => {
        abort.abort();
        end();
      });
      const answer = await fetch(`${upstream.url}/responses`, {
        method: "POST",
        redirect: "error",
        headers: {
          accept: "text/event-stream",
          authorization: `Bearer ${upstream.credential()}`,
          "content-type": "application/json",
          "user-agent": "mayfly",
          ...(isLite ? { [MODEL_SHAPE_HEADER]: "true" } : {}),
        },
        body: body as Uint8Array<ArrayBuffer>,
        signal: abort.signal,
      }).catch((err: unknown) => {
        log.warn({ machine, err: String(err) }, "the model cannot be reached");
        end();
        throw new Refusal("MODEL_UNREACHABLE");
      });
      reply.code(answer.status);
      if (CREDENTIAL_STATUSES.includes(answer.status)) {
        abort.abort();
        log.error({ machine, status: answer.status }, "the model refuses the credential");
        return reply.send(CREDENTIAL_REFUSED);
      }
      for (const name of ANSWER_HEADERS) {
        const value = answer.headers.get(name);
        if (value !== null) {
          reply.header(name, value);
        }
      }
      if (answer.body === null) {
        return reply.send();
      }
      const stream = Readable.fromWeb(answer.body);
      return reply.send(bounded(stream, abort, () => log.warn({ machine }, "a model answer was cut")));
    },
    cut(machine) {
      for (const abort of calls.get(machine) ?? []) {
        abort.abort();
      }
    },
  };
}

/** The stream, ended after too many bytes or too long a silence. Backpressure reaches the model. */
function bounded(stream: Readable, abort: AbortController, onCut: () => void): Readable {
  let bytes = 0;
  const cut = () => {
    onCut();
    abort.abort();
  };
  let silence = setTimeout(cut, limits.modelIdleMs);
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      clearTimeout(silence);
      silence = setTimeout(cut, limits.modelIdleMs);
      if (bytes > limits.modelResponseBytesMax) {
        cut();
      }
      done(null, chunk);
    },
  });
  meter.once("close", () => clearTimeout(silence));
  stream.once("error", (error) => meter.destroy(error));
  return stream.pipe(meter);
}
