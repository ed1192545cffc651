import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";

/** What somebody on the host would hear from a machine that can reach it. */
export interface Listeners {
  /** The host's own addresses, those of its loopback left out: every machine has one of those itself. */
  readonly addresses: readonly string[];
  readonly tcp: number;
  readonly udp: number;
  /** Who has called so far, other than `callFromHost`. */
  readonly heard: readonly string[];
  /** Calls both ports from the host itself; true if both calls were heard. They count no further. */
  callFromHost(): Promise<boolean>;
  close(): Promise<void>;
}

/** Longer than the host takes to hand a datagram over to itself. */
const HEARD_MS = 5_000;

/** Listens on all addresses of the host, on free ports, and on the port of name servers where that is free. */
export async function startListeners(): Promise<Listeners> {
  const heard: string[] = [];
  const server = createServer((socket) => {
    heard.push(`tcp ${socket.remoteAddress}`);
    socket.destroy();
  });
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  const tcp = (server.address() as AddressInfo).port;
  const plain = await listenForDatagrams(0, heard);
  if (plain === null) {
    throw new Error("no port is free");
  }
  const nameServer = await listenForDatagrams(53, heard);
  const udp = plain.address().port;

  async function callFromHost(): Promise<boolean> {
    const before = heard.length;
    const socket = connect({ host: "127.0.0.1", port: tcp });
    await once(socket, "close");
    const sender = createSocket("udp4");
    sender.send("from the host", udp, "127.0.0.1");
    const until = performance.now() + HEARD_MS;
    while (heard.length < before + 2 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    sender.close();
    return heard.splice(before, 2).length === 2;
  }

  return {
    addresses: Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .filter(({ internal, family }) => !internal && family === "IPv4")
      .map(({ address }) => address),
    tcp,
    udp,
    heard,
    callFromHost,
    async close() {
      server.close();
      await once(server, "close");
      for (const socket of [plain, nameServer]) {
        socket?.close();
      }
    },
  };
}

/** Null when the port is not free, or not ours to take. */
async function listenForDatagrams(port: number, heard: string[]): Promise<Datagrams | null> {
  const socket = createSocket("udp4");
  socket.on("message", (_, { address }) => heard.push(`udp ${address}`));
  const failed = once(socket, "error").then(() => null);
  socket.bind(port, "0.0.0.0");
  const listening = once(socket, "listening").then(() => socket);
  listening.catch(() => null);
  return Promise.race([listening, failed]).catch(() => null);
}
