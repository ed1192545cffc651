import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { limits } from "@mayfly/core";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { buildWebhookServer } from "../../../apps/orchestrator/src/intake/webhook-server.ts";
import { createDeliveryStore } from "../../../apps/orchestrator/src/store/deliveries.ts";
import { pullRequestBody } from "../corpus/webhook-bodies.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const SECRET = "the-webhook-secret-in-use";
const AT_ONCE = 50;
/** GitHub waits 10 s for an answer. */
const ACK_MS_MAX = 10_000;
const GROWTH_BYTES_MAX = 400 * 1024 * 1024;
const MIB = 1024 * 1024;
/** The listener's own bound on a request, and how often Node looks (30 s). */
const SLOW_MS_MAX = 50_000;

export const storms: Row = {
  id: "T08",
  attack: "Webhooks come by the thousand, larger than GitHub sends, without a signature, or a byte a second.",
  needs: "redis",
  control: "a delivery of the usual size is taken before, in between and after",
  async run(context) {
    const tally = createTally();
    const { redis, prefix } = await context.redis();
    const clock = { now: () => Date.now() };
    const { log } = createLog({ level: "silent" });
    const deliveries = createDeliveryStore({ redis, prefix: prefix(), keepMs: limits.deliveryMemoryMs, clock });
    const server = buildWebhookServer({ secrets: [SECRET], deliveries, wake: async () => undefined, log });
    const url = await server.listen({ host: "127.0.0.1", port: 0 });
    const end = context.atEnd(() => server.close());
    const usual = async () => (await send(url, JSON.stringify(pullRequestBody()))).status;
    tally.control((await usual()) === 202, "a usual delivery is not taken");
    const slow = slowly(context, tally, (server.server.address() as AddressInfo).port);
    await sizes(tally, url);
    await storm(context, tally, url);
    await slow;
    tally.control((await usual()) === 202, "a usual delivery is not taken afterwards");
    await end();
    return tally.verdict("every delivery was taken in time or refused, and memory stayed bounded");
  },
};

async function sizes(tally: Tally, url: string): Promise<void> {
  const before = process.memoryUsage().rss;
  for (const bytes of [limits.webhookBytesMax + 1, 26 * MIB, 64 * MIB]) {
    const answer = await send(url, "x".repeat(bytes)).catch(() => ({ status: 413, ms: 0 }));
    tally.equal(answer.status, 413, `the answer to ${bytes} bytes`);
  }
  const grown = process.memoryUsage().rss - before;
  tally.expect(grown < GROWTH_BYTES_MAX, () => `memory grew by ${Math.round(grown / MIB)} MiB`);
}

async function storm(context: AttackContext, tally: Tally, url: string): Promise<void> {
  const before = process.memoryUsage().rss;
  const times: number[] = [];
  for (let left = context.cases(10_000, 600); left > 0; left -= AT_ONCE) {
    const answers = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, i) =>
        send(url, JSON.stringify(pullRequestBody({ number: left + i })), i % 10 === 0),
      ),
    );
    for (const [i, { status, ms }] of answers.entries()) {
      times.push(ms);
      const wanted = i % 10 === 0 ? [401] : [202, 503];
      tally.expect(wanted.includes(status), () => `a delivery in a storm is answered ${status}`);
    }
  }
  const late = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;
  tally.expect(late < ACK_MS_MAX, () => `one in a hundred waits ${Math.round(late)} ms`);
  const grown = process.memoryUsage().rss - before;
  tally.expect(grown < GROWTH_BYTES_MAX, () => `memory grew by ${Math.round(grown / MIB)} MiB`);
}

/** Callers that say a byte now and then hold a connection, and lose it. In the short form only that they disturb nobody. */
async function slowly(context: AttackContext, tally: Tally, port: number): Promise<void> {
  const sockets = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => undefined);
      await once(socket, "connect");
      socket.write(
        "POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n",
      );
      return socket;
    }),
  );
  const until = performance.now() + (context.isShort ? 0 : SLOW_MS_MAX);
  while (performance.now() < until && sockets.some(({ destroyed }) => !destroyed)) {
    sockets.forEach((socket) => socket.writable && socket.write("x"));
    await wait(1_000);
  }
  if (!context.isShort) {
    const open = sockets.filter(({ destroyed }) => !destroyed).length;
    tally.equal(open, 0, "slow callers that are still connected");
  }
  sockets.forEach((socket) => socket.destroy());
}

async function send(url: string, body: string, isForged = false): Promise<{ status: number; ms: number }> {
  const began = performance.now();
  const answer = await fetch(`${url}/webhook`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-github-event": "pull_request",
      "x-github-delivery": randomUUID(),
      "x-hub-signature-256": `sha256=${createHmac("sha256", isForged ? "wrong" : SECRET)
        .update(body)
        .digest("hex")}`,
    },
    body,
  });
  await answer.arrayBuffer();
  return { status: answer.status, ms: performance.now() - began };
}
