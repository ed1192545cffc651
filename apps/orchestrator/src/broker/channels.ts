import { chmod, rm } from "node:fs/promises";
import { type Channels, isAppError, limits, type MachineId } from "@mayfly/core";
import { fastify, type FastifyError, type FastifyInstance } from "fastify";
import { type AttemptRoutesDeps, registerAttemptRoutes } from "./attempt-routes.ts";
import { readJsonBytes } from "./json-bytes.ts";
import { registerModelRoutes } from "./model-routes.ts";
import { Refusal } from "./refusal.ts";

/** The agent needs a handful; Codex one or two more. */
const CONNECTIONS_MAX = 64;
/** From the first byte of a request to its last: a pack of source goes the other way. */
const REQUEST_MS = 120_000;

export interface ChannelsDeps extends AttemptRoutesDeps {
  /**
   * The folder of a machine's channel: made by the service, which alone may make it, and open to its group, which is the
   * broker's. What stands above it keeps everybody else out.
   */
  readonly folderOf: (machine: MachineId) => string;
}

/** The broker's end of every channel: one unix socket a machine, and the socket says who speaks. */
export interface BrokerChannels extends Channels {
  close(): Promise<void>;
}

export function createChannels(deps: ChannelsDeps): BrokerChannels {
  const open = new Map<MachineId, Promise<FastifyInstance>>();

  async function listen(machine: MachineId): Promise<FastifyInstance> {
    const socket = `${deps.folderOf(machine)}/broker.sock`;
    await rm(socket, { force: true });
    const app = buildChannel(machine, deps);
    await app.listen({ path: socket });
    // Only that machine's forwarder is given the folder, and it comes as a stranger.
    await chmod(socket, 0o666);
    return app;
  }

  return {
    async ensureOpen(machine) {
      let app = open.get(machine);
      if (app === undefined) {
        app = listen(machine);
        open.set(machine, app);
        app.catch(() => open.delete(machine));
      }
      await app;
    },
    async ensureClosed(machine) {
      deps.gateway.cut(machine);
      const app = await open.get(machine);
      open.delete(machine);
      app?.server.closeAllConnections();
      await app?.close();
    },
    async close() {
      await Promise.all([...open.keys()].map((machine) => this.ensureClosed(machine)));
    },
  };
}

function buildChannel(machine: MachineId, deps: ChannelsDeps): FastifyInstance {
  const app = fastify({
    bodyLimit: limits.agentBodyBytesMax,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: true,
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.addHook("onRequest", async ({ headers }) => {
    // One way to say how long a body is leaves nothing for two readers to differ about.
    if (headers["transfer-encoding"] !== undefined) {
      throw new Refusal("LENGTH_REQUIRED");
    }
  });
  readFramesStrictly(app);
  app.setNotFoundHandler((_request, reply) => answer(reply, new Refusal("NOT_SERVED")));
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const refusal = refusalOf(error);
    const level = refusal.status >= 500 ? "warn" : "info";
    deps.log[level](
      { machine, code: refusal.code, path: request.routeOptions.url, err: error },
      "the broker refused a call",
    );
    return answer(reply, refusal);
  });
  registerAttemptRoutes(app, machine, deps);
  registerModelRoutes(app, machine, deps);
  return app;
}

/** Frames are JSON that means the same to every reader: strict UTF-8, no name twice, no depth. */
function readFramesStrictly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, async (_request: unknown, body: Buffer) => {
    const value = readJsonBytes(body, {
      depthMax: limits.frameDepthMax,
      charsMax: limits.resultBytesMax,
      valuesMax: limits.frameValuesMax,
    });
    if (value === undefined) {
      throw new Refusal("BODY_INVALID");
    }
    return value;
  });
}

function answer(reply: { code(status: number): { send(body: unknown): unknown } }, refusal: Refusal): unknown {
  return reply.code(refusal.status).send(refusal.body);
}

function refusalOf(error: FastifyError): Refusal {
  if (error instanceof Refusal) {
    return error;
  }
  switch (error.code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new Refusal("BODY_TOO_BIG");
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new Refusal("NOT_JSON");
    case "FST_ERR_CTP_EMPTY_JSON_BODY":
    case "FST_ERR_CTP_INVALID_JSON_BODY":
      return new Refusal("BODY_INVALID");
    default:
      return isAppError(error) && !error.retryable ? new Refusal("NOT_SERVED") : new Refusal("UNAVAILABLE");
  }
}
