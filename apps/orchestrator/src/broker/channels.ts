import { chmod, rm } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Channels, limits, type MachineId } from "@mayfly/core";
import { fastify, type FastifyError, type FastifyInstance } from "fastify";
import { type AttemptRoutesDeps, registerAttemptRoutes } from "./attempt-routes.ts";
import { answer, readFramesStrictly, refusalOf } from "./frames.ts";
import { registerModelRoutes } from "./model-routes.ts";
import { Refusal } from "./refusal.ts";

/** The agent needs a handful; Codex one or two more. */
const CONNECTIONS_MAX = 64;

/** How slow a caller may be. */
interface ChannelPatience {
  /** From the first byte of a request to its last. */
  readonly requestMs: number;
  /** From the first byte of a request to the end of its head. */
  readonly headMs: number;
  /** How often the two are looked at. */
  readonly lookMs: number;
}

/** A pack of source goes the other way, and the agent sends its heads whole. */
const channelPatience: ChannelPatience = { requestMs: 120_000, headMs: 60_000, lookMs: 30_000 };

export interface ChannelsDeps extends AttemptRoutesDeps {
  /**
   * The folder of a machine's channel: made by the service, which alone may make it, and open to its group, which is the
   * broker's. What stands above it keeps everybody else out. Null where machines come through the door, which knows them
   * by their certificates: then there is no socket but those that it hands over.
   */
  readonly folderOf: ((machine: MachineId) => string) | null;
  readonly patience?: ChannelPatience;
}

/** The broker's end of every channel: one a machine, and the connection says who speaks. */
export interface BrokerChannels extends Channels {
  /**
   * Takes a connection of that machine as if it had come by its own socket; its channel is opened if it is not yet, which
   * it may be at another broker alone. False: there are too many, or one
   * of the two was closed this moment.
   */
  take(machine: MachineId, socket: Socket): Promise<boolean>;
  /** Whose channels are open. */
  machines(): readonly MachineId[];
  close(): Promise<void>;
}

export function createChannels(deps: ChannelsDeps): BrokerChannels {
  const open = new Map<MachineId, Promise<Served>>();

  async function serve(machine: MachineId): Promise<Served> {
    const app = buildChannel(machine, deps);
    if (deps.folderOf === null) {
      await app.ready();
      // It never listens by itself; what it does then is watch over slow and idle callers.
      app.server.emit("listening");
    } else {
      const socket = `${deps.folderOf(machine)}/broker.sock`;
      await rm(socket, { force: true });
      await app.listen({ path: socket });
      // Only that machine's forwarder is given the folder, and it comes as a stranger.
      await chmod(socket, 0o666);
    }
    return { app, handedOver: new Set() };
  }

  function ensureOpen(machine: MachineId): Promise<Served> {
    const present = open.get(machine);
    if (present !== undefined) {
      return present;
    }
    const opening = serve(machine);
    open.set(machine, opening);
    opening.catch(() => forget(machine, opening));
    return opening;
  }

  /** Not one that was opened since. */
  function forget(machine: MachineId, opening: Promise<Served>): void {
    if (open.get(machine) === opening) {
      open.delete(machine);
    }
  }

  return {
    async ensureOpen(machine) {
      await ensureOpen(machine);
    },
    async take(machine, socket) {
      const opening = ensureOpen(machine);
      const { app, handedOver } = await opening;
      if (open.get(machine) !== opening || handedOver.size >= CONNECTIONS_MAX || socket.destroyed) {
        return false;
      }
      handedOver.add(socket);
      socket.once("close", () => handedOver.delete(socket));
      app.server.emit("connection", socket);
      return true;
    },
    machines: () => [...open.keys()],
    async ensureClosed(machine) {
      deps.gateway.cut(machine);
      await deps.tunnels.cut(machine);
      const opening = open.get(machine);
      if (opening === undefined) {
        return;
      }
      const { app, handedOver } = await opening;
      forget(machine, opening);
      handedOver.forEach((socket) => socket.destroy());
      app.server.closeAllConnections();
      // For one that never listened, which its app does not close; it stops watching over its callers.
      app.server.close();
      await app.close();
    },
    async close() {
      await Promise.all([...open.keys()].map((machine) => this.ensureClosed(machine)));
    },
  };
}

/** A machine's own server, and the connections to it that it did not accept itself. */
interface Served {
  readonly app: FastifyInstance;
  readonly handedOver: Set<Socket>;
}

/** What one machine can ask, before anybody listens for it. */
export function buildChannel(machine: MachineId, deps: ChannelsDeps): FastifyInstance {
  const { requestMs, headMs, lookMs } = deps.patience ?? channelPatience;
  const app = fastify({
    bodyLimit: limits.agentBodyBytesMax,
    requestTimeout: requestMs,
    http: { headersTimeout: headMs, connectionsCheckingInterval: lookMs },
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
  // CONNECT is no request with an answer, so it passes by the routes and their hooks.
  app.server.on("connect", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    void deps.tunnels.connect(machine, { target: request.url ?? "", headers: request.headers }, socket, head);
  });
  registerAttemptRoutes(app, machine, deps);
  registerModelRoutes(app, machine, deps);
  return app;
}
