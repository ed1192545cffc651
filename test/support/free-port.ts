import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below the ports that Linux gives out by itself (32768 and up, ip_local_port_range): one of those that is free now may be
 * any connection's own the next moment, before whoever was told of it listens there.
 */
const FIRST = 20_000;
const LAST = 32_767;
const TRIES_MAX = 100;

/** A port of loopback for a server that starts later and whose address must be known before. Never the same twice. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const port = randomInt(FIRST, LAST + 1);
    if (!given.has(port) && (await isFree(port))) {
      given.add(port);
      return port;
    }
  }
  throw new Error(`none of ${TRIES_MAX} ports from ${FIRST} to ${LAST} is free`);
}

const given = new Set<number>();

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
