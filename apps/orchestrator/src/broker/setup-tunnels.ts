import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { connect as dial, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  type Clock,
  type Ids,
  limits,
  type MachineId,
  refuseSetupConnection,
  SETUP_PORT,
  type SetupConnectionWhy,
  type SetupHost,
} from "@mayfly/core";
import type { Logger } from "pino";
import type { Records } from "../runs/records.ts";
import type { Authorise, Standing } from "./authorise.ts";
import { readClientHello } from "./client-hello.ts";
import { resolvePublic } from "./public-address.ts";
import { Refusal } from "./refusal.ts";

interface SetupTunnelsDeps {
  readonly authorise: Pick<Authorise, "capability">;
  readonly records: Pick<Records, "applyToRun">;
  /** Those that the operator allows. */
  readonly hosts: readonly SetupHost[];
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
}

/** The connections that set-up commands have to hosts outside: bytes for a host that may be reached, and never a key. */
export interface SetupTunnels {
  /**
   * Serves a CONNECT. Answers 200 once the connection is written down, then waits for the first words of TLS, and dials
   * only when they name the host that was asked for; after that nothing is looked at but how much it is. Never throws.
   */
  connect(
    machine: MachineId,
    asked: { target: string; headers: IncomingHttpHeaders },
    client: Duplex,
    head: Buffer,
  ): Promise<void>;
  /** Ends the machine's connections; resolves once their ends are written down. Idempotent. */
  cut(machine: MachineId): Promise<void>;
  /** Whose connections are open. */
  machines(): readonly MachineId[];
}

/** One connection under way. */
interface Tunnel {
  readonly client: Duplex;
  upstream: Socket | null;
  /** Why it ended; the first reason counts. */
  why: SetupConnectionWhy | null;
  /** Settles when its end is written down. */
  readonly over: Promise<void>;
  end(why: SetupConnectionWhy): void;
}

export function createSetupTunnels(deps: SetupTunnelsDeps): SetupTunnels {
  const { authorise, records, clock, ids, log } = deps;
  const hosts = new Map(deps.hosts.map((one) => [one.host, one]));
  const open = new Map<MachineId, Set<Tunnel>>();

  async function admit(
    machine: MachineId,
    target: string,
    headers: IncomingHttpHeaders,
  ): Promise<[Standing, SetupHost]> {
    const standing = await authorise.capability(machine, headers.authorization);
    const name = /^(.{1,253}):([0-9]{1,5})$/.exec(target)?.[1]?.toLowerCase() ?? "";
    if (target.toLowerCase() !== `${name}:${SETUP_PORT}`) {
      throw refused(`only CONNECT to a host's port ${SETUP_PORT} passes`);
    }
    const why = refuseSetupConnection(standing.run, name, clock.now());
    if (why !== null) {
      throw refused(why);
    }
    const host = hosts.get(name);
    if (host === undefined) {
      throw refused("the operator's policy.setup_hosts does not name this host any more");
    }
    return [standing, host];
  }

  async function connect(
    machine: MachineId,
    asked: { target: string; headers: IncomingHttpHeaders },
    client: Duplex,
    head: Buffer,
  ): Promise<void> {
    // Whoever leaves, leaves: what is to be said of it is said by the end.
    client.on("error", () => undefined);
    const { promise: over, resolve: conclude } = Promise.withResolvers<void>();
    const tunnel: Tunnel = {
      client,
      upstream: null,
      why: null,
      over,
      end(why) {
        tunnel.why ??= why;
        tunnel.upstream?.destroy();
        client.destroy();
      },
    };
    client.once("close", () => tunnel.end("closed"));
    // Before anything is asked of the store, so that a cut meanwhile finds it.
    const mine = open.get(machine) ?? new Set();
    open.set(machine, mine.add(tunnel));
    try {
      await serve(machine, tunnel, asked, head);
    } catch (error) {
      refuse(client, error);
      log.info({ machine, target: printable(asked.target), err: error }, "a connection of a set-up did not come about");
    } finally {
      mine.delete(tunnel);
      if (mine.size === 0 && open.get(machine) === mine) {
        open.delete(machine);
      }
      conclude();
    }
  }

  async function serve(
    machine: MachineId,
    tunnel: Tunnel,
    asked: { target: string; headers: IncomingHttpHeaders },
    head: Buffer,
  ): Promise<void> {
    const [{ run }, host] = await admit(machine, asked.target, asked.headers);
    const id = ids.secret("con");
    const opened = await records.applyToRun(run.id, { type: "setup_opened", id, host: host.host, machine });
    if (!opened.changed) {
      // Somebody was faster with the last that was left, or the gate was.
      throw refused(refuseSetupConnection(opened.run, host.host, clock.now()) ?? "the attempt is over");
    }
    const bytes = { sentBytes: 0, receivedBytes: 0 };
    const late = setTimeout(() => tunnel.end("time"), limits.setupConnectionMs);
    try {
      if (tunnel.why === null) {
        tunnel.client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        await carry(
          machine,
          { run: run.id, id, host, authorization: asked.headers.authorization },
          tunnel,
          head,
          bytes,
        );
      }
    } catch (error) {
      log.info({ machine, host: host.host, err: error }, "a connection of a set-up failed");
    } finally {
      clearTimeout(late);
      tunnel.end("closed");
      const why = tunnel.why ?? "closed";
      const end = { ...bytes, why };
      log.info({ run: run.id, machine, host: host.host, ...end }, "a connection of a set-up ended");
      await records.applyToRun(run.id, { type: "setup_closed", id, end, machine });
    }
  }

  /** Until one of the two ends, or a bound is reached. */
  async function carry(
    machine: MachineId,
    what: { run: Standing["run"]["id"]; id: string; host: SetupHost; authorization: string | undefined },
    tunnel: Tunnel,
    head: Buffer,
    bytes: { sentBytes: number; receivedBytes: number },
  ): Promise<void> {
    const { run, id, host } = what;
    const { client } = tunnel;
    const hello = await readHello(client, head, host.host);
    if (hello === null) {
      tunnel.end("not_tls");
      return;
    }
    const upstream = await reach(host, tunnel);
    if (upstream === null) {
      tunnel.end("unreachable");
      return;
    }
    // It may have taken seconds: what was right when it was asked for must still be.
    const { attempt } = await authorise.capability(machine, what.authorization);
    if (attempt.gate !== null || tunnel.why !== null) {
      tunnel.end("cut");
      return;
    }
    let linger: NodeJS.Timeout | undefined;
    let reservedBytes: number = limits.setupReserveBytes;

    /** Not a byte leaves before it is written down that it may. */
    async function send(chunk: Buffer): Promise<boolean> {
      while (bytes.sentBytes + chunk.length > reservedBytes) {
        reservedBytes += limits.setupReserveBytes;
        const { changed } = await records.applyToRun(run, { type: "setup_extended", id, reservedBytes, machine });
        if (!changed) {
          return false;
        }
      }
      if (tunnel.why !== null || upstream === null) {
        return false;
      }
      if (upstream.destroyed) {
        return true;
      }
      bytes.sentBytes += chunk.length;
      if (!upstream.write(chunk)) {
        await Promise.race([once(upstream, "drain"), once(upstream, "close")]);
      }
      return true;
    }

    upstream.on("data", (chunk: Buffer) => {
      bytes.receivedBytes += chunk.length;
      if (bytes.receivedBytes > limits.setupReceivedBytesMax) {
        tunnel.end("received");
      } else if (!client.write(chunk)) {
        upstream.pause();
        client.once("drain", () => upstream.resume());
      }
    });
    upstream.once("close", () => {
      // What it said last is still on its way to the machine; what the machine says from here on goes nowhere.
      client.end();
      linger = setTimeout(() => tunnel.end("closed"), limits.setupConnectMs);
    });
    try {
      if (!(await send(hello))) {
        tunnel.end("sent");
        return;
      }
      for await (const chunk of client as AsyncIterable<Buffer>) {
        if (!(await send(chunk))) {
          tunnel.end("sent");
          return;
        }
      }
      upstream.end();
      if (!upstream.closed) {
        await once(upstream, "close");
      }
    } finally {
      clearTimeout(linger);
    }
  }

  async function reach({ host, at }: SetupHost, tunnel: Tunnel): Promise<Socket | null> {
    const address = at?.address ?? (await within(resolvePublic(host)));
    if (address === null || tunnel.why !== null) {
      return null;
    }
    const socket = dial({ host: address, port: at?.port ?? SETUP_PORT, autoSelectFamily: false });
    tunnel.upstream = socket;
    socket.on("error", () => undefined);
    socket.setTimeout(limits.setupConnectMs, () => socket.destroy());
    try {
      await Promise.race([
        once(socket, "connect"),
        once(socket, "close").then(() => Promise.reject(new Error("closed"))),
      ]);
      socket.setTimeout(0);
      return socket;
    } catch {
      return null;
    }
  }

  return {
    connect,
    async cut(machine) {
      const tunnels = [...(open.get(machine) ?? [])];
      tunnels.forEach((tunnel) => tunnel.end("cut"));
      await Promise.all(tunnels.map(({ over }) => over));
    },
    machines: () => [...open.keys()],
  };
}

/** All that was sent until the ClientHello is whole, if it asks for that host; null otherwise. */
async function readHello(client: Duplex, head: Buffer, host: string): Promise<Buffer | null> {
  const late = setTimeout(() => client.destroy(), limits.setupConnectMs);
  try {
    let said = head;
    for (;;) {
      const hello = readClientHello(said);
      if (hello.kind !== "more") {
        return hello.kind === "host" && hello.host === host ? said : null;
      }
      if (said.length > limits.setupHelloBytesMax) {
        return null;
      }
      const chunk = await nextOf(client);
      if (chunk === null) {
        return null;
      }
      said = Buffer.concat([said, chunk]);
    }
  } finally {
    clearTimeout(late);
  }
}

/** The next bytes, without ending the stream for whoever reads on; null at its end. */
async function nextOf(stream: Duplex): Promise<Buffer | null> {
  for (;;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk !== null || stream.readableEnded || stream.destroyed) {
      return chunk;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    for (const event of ["readable", "end", "close"]) {
      stream.once(event, wake);
    }
    await promise;
    for (const event of ["readable", "end", "close"]) {
      stream.off(event, wake);
    }
  }
}

/** Null where it takes too long or fails. */
async function within(asked: Promise<string | null>): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  const late = setTimeout(resolve, limits.setupConnectMs, null);
  try {
    return await Promise.race([asked, promise]);
  } catch {
    return null;
  } finally {
    clearTimeout(late);
  }
}

function refused(why: string): Refusal {
  return new Refusal({ code: "SETUP_REFUSED", status: 403, message: why });
}

/** Said in the answer to a CONNECT, where nothing has been said yet; a tool shows it or its status. */
function refuse(client: Duplex, error: unknown): void {
  const { status, body } = error instanceof Refusal ? error : new Refusal("UNAVAILABLE");
  const text = JSON.stringify(body);
  client.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}

function printable(target: string): string {
  return target.slice(0, 300).replace(/[^\x21-\x7e]/g, "?");
}
