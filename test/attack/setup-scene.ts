import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, connect as dial, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import type { RunId, SetupHost } from "@mayfly/core";
import { createSetupProxy, type SetupProxy } from "../../apps/agent/src/setup-proxy.ts";
import { loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import type { TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { say } from "../fakes/model/script.ts";
import { type BrokerBench, type Channel, startBroker } from "./broker-bench.ts";

/** The host that a task names, unless it is to name another or none. */
export const HOST = "packages.example.com";
/** One that the operator allows and the task does not name. */
export const NAMED = "named.example.com";
/** What it answers to `/big`. */
export const BIG = "x".repeat(300_000);
const ANSWER_MS = 20_000;

/** A machine in the middle of its set-up. */
export interface SetupScene {
  readonly id: RunId;
  readonly channel: Channel;
  readonly capability: string;
  readonly proxy: SetupProxy;
  /** Where set-up commands find the agent's proxy. */
  readonly port: number;
}

/** What a tool of a set-up asks for. */
export interface Asked {
  readonly host?: string;
  readonly target?: string;
  readonly servername?: string;
  readonly body?: string;
  readonly path?: string;
}

/** The real broker, a server with TLS out there, and machines between which there is the agent's own proxy. */
export interface SetupBench {
  readonly bench: BrokerBench;
  /** How many connections have come to the server out there. */
  reached(): number;
  settingUp(network?: readonly string[]): Promise<SetupScene>;
  /** What a tool of a set-up does: CONNECT to the proxy, TLS to the host, one request. Rejects with the proxy's refusal. */
  fetchThrough(scene: Pick<SetupScene, "port">, asked?: Asked): Promise<string>;
  /** Called when the bench is closed. */
  atEnd(clean: () => void): void;
  close(): Promise<void>;
}

/** The server out there: TLS with a certificate that nobody trusts, which is the tool's to look at and not the broker's. */
async function startOutside(folder: string) {
  const { server: keys } = await loadDoorKeys(folder, Date.now());
  let reached = 0;
  const server = createHttps({ key: keys.key, cert: keys.certificate }, (incoming, outgoing) => {
    let size = 0;
    incoming.on("data", (chunk: Buffer) => void (size += chunk.length));
    incoming.on("end", () => outgoing.end(incoming.url === "/big" ? BIG : `got ${size}`));
  });
  server.on("connection", () => void (reached += 1));
  await listening(server);
  const { port } = server.address() as AddressInfo;
  return { server, port, reached: () => reached };
}

export async function startSetupBench(redis: TestRedis): Promise<SetupBench> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-setup-net-"));
  const outside = await startOutside(folder);
  const at = { address: "127.0.0.1", port: outside.port };
  const setupHosts: SetupHost[] = [HOST, NAMED].map((host) => ({ host, at }));
  const bench = await startBroker(redis, () => [say("Fine.")], { setupHosts });
  const cleanups: (() => unknown)[] = [];

  async function settingUp(network: readonly string[] = [HOST]): Promise<SetupScene> {
    const id = await bench.addRun({ setup: ["true"], ...(network.length === 0 ? {} : { network }) });
    const channel = await bench.addMachine();
    const { capability } = await channel.claim();
    // The machine's link to its channel, as its forwarder makes it.
    const link = await listening(
      createServer((socket) => {
        const on = dial(channel.socket);
        socket.on("error", () => on.destroy());
        on.on("error", () => socket.destroy());
        socket.once("close", () => on.destroy());
        on.once("close", () => socket.destroy());
        socket.pipe(on).pipe(socket);
      }),
    );
    const listener = await listening(createServer());
    const { port } = listener.address() as AddressInfo;
    const broker = { host: "127.0.0.1", port: (link.address() as AddressInfo).port };
    const proxy = createSetupProxy({ listener, broker, capability });
    cleanups.push(async () => {
      await proxy.close();
      link.close();
    });
    return { id, channel, capability, proxy, port };
  }

  async function fetchThrough({ port }: Pick<SetupScene, "port">, asked: Asked = {}): Promise<string> {
    const { host = HOST, target = `${host}:443`, servername = host, body = "", path = "/" } = asked;
    const socket = dial({ host: "127.0.0.1", port });
    cleanups.push(() => socket.destroy());
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error("no answer")));
    socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    if (!answer.toString().startsWith("HTTP/1.1 200 ")) {
      throw new Error(answer.toString().split("\r\n")[0]);
    }
    const tls = connectTls({ socket, servername, rejectUnauthorized: false });
    await once(tls, "secureConnect");
    tls.write(
      `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    let said = "";
    for await (const chunk of tls as AsyncIterable<Buffer>) {
      said += chunk.toString("latin1");
    }
    return said;
  }

  return {
    bench,
    reached: outside.reached,
    settingUp,
    fetchThrough,
    atEnd: (clean) => void cleanups.push(clean),
    async close() {
      await Promise.all(cleanups.splice(0).map((clean) => clean()));
      await bench.close();
      outside.server.closeAllConnections();
      outside.server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function listening<S extends Server>(server: S): Promise<S> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
