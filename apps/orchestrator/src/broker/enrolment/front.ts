import { constants } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import type { Clock } from "@mayfly/core";
import type { Logger } from "pino";
import type { DoorBounds } from "./door-bounds.ts";
import type { DoorKeys } from "./door-keys.ts";
import { createTurnstile } from "./turnstile.ts";

/** A machine that was switched off says no goodbye; its connection is asked after this much silence. */
const KEEP_ALIVE_MS = 30_000;

export interface FrontDeps {
  readonly server: DoorKeys["server"];
  readonly bounds: DoorBounds;
  readonly clock: Clock;
  readonly log: Logger;
  /** Nothing has been read of the connection yet. */
  readonly onSecure: (socket: TLSSocket, address: string) => void;
  readonly onRefused: (code: "HANDSHAKE_FAILED" | "TOO_MANY_CONNECTIONS") => void;
}

/** The listener before anybody is known: it bounds connections and sees to it that they speak TLS 1.3. */
export interface Front {
  listen(at: { host: string; port: number }): Promise<number>;
  close(): Promise<void>;
}

export function createFront(deps: FrontDeps): Front {
  const { bounds, clock, log, onRefused } = deps;
  const connections = createTurnstile(bounds.connections, clock);
  const handshakes = createTurnstile(bounds.handshakes, clock);
  const open = new Set<Socket>();
  const shaking = new Map<string, { readonly address: string; secured(): void }>();
  const tls = createTls(deps, (socket) => {
    const visitor = shaking.get(placeOf(socket));
    if (visitor === undefined) {
      socket.destroy();
    } else {
      visitor.secured();
      deps.onSecure(socket, visitor.address);
    }
  });

  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) => {
    const address = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
    const leave = connections.enter(address);
    const stopShaking = leave === null ? null : handshakes.enter(address);
    if (leave === null || stopShaking === null) {
      leave?.();
      onRefused("TOO_MANY_CONNECTIONS");
      socket.destroy();
      return;
    }
    const place = placeOf(socket);
    let isSecure = false;
    // By the clock and not by silence: a byte now and then gains nothing.
    const late = setTimeout(() => socket.destroy(), bounds.handshakeMs);
    const visitor = {
      address,
      secured() {
        isSecure = true;
        end();
      },
    };
    const end = (): void => {
      clearTimeout(late);
      stopShaking();
      // The port may have been taken again before we heard that this connection is closed.
      if (shaking.get(place) === visitor) {
        shaking.delete(place);
      }
    };
    shaking.set(place, visitor);
    open.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => {
      if (!isSecure) {
        end();
        onRefused("HANDSHAKE_FAILED");
      }
      leave();
      open.delete(socket);
    });
    tls.emit("connection", socket);
  });
  // Counted above; this one holds before a connection costs us anything.
  server.maxConnections = bounds.connections.atOnceMax;
  server.on("drop", () => onRefused("TOO_MANY_CONNECTIONS"));

  return {
    async listen({ host, port }) {
      server.listen({ host, port });
      await once(server, "listening");
      // Such as no descriptor being left: those who are inside go on.
      server.on("error", (err) => log.warn({ err }, "a connection could not be accepted"));
      const address = server.address();
      return typeof address === "object" && address !== null ? address.port : port;
    },
    async close() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      open.forEach((socket) => socket.destroy());
      await closed;
    },
  };
}

function createTls({ server, bounds, log }: FrontDeps, onSecure: (socket: TLSSocket) => void): TlsServer {
  const tls = createTlsServer({
    key: server.key,
    cert: server.certificate,
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    requestCert: true,
    // No name of an authority is sent along, and none that Node brings is loaded.
    ca: [],
    // Asked for and not judged by Node, which knows no machine. We judge before a byte of a request is read.
    rejectUnauthorized: false,
    // With no session resumed, each connection proves its key anew.
    secureOptions: constants.SSL_OP_NO_TICKET,
    // Ours comes first.
    handshakeTimeout: bounds.handshakeMs * 2,
  });
  tls.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
    log.debug({ code: error.code }, "a handshake failed");
    socket.destroy();
  });
  tls.on("secureConnection", (socket) => {
    // Whoever reads it meets its errors; until then nobody does.
    socket.on("error", () => {});
    onSecure(socket);
  });
  return tls;
}

/** Which connection it is, before and after TLS has taken it over. */
function placeOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
