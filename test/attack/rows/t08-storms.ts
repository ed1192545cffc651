import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
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
  unit: "requests",
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
    const usual = () => ask(undefined, url, delivery(JSON.stringify(pullRequestBody())));
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
    // Whoever goes on sending is hung up on.
    const status = await ask(undefined, url, delivery("x".repeat(bytes))).catch(() => 413);
    tally.equal(status, 413, `the answer to ${bytes} bytes`);
  }
  const grown = process.memoryUsage().rss - before;
  tally.expect(grown < GROWTH_BYTES_MAX, () => `memory grew by ${Math.round(grown / MIB)} MiB`);
}

/** What a request of the storm is, and how the listener may answer it. */
interface Kind {
  readonly what: string;
  readonly wanted: readonly number[];
  /** Changes a sound delivery. */
  readonly change?: (sound: Delivery) => Partial<Delivery>;
}

interface Delivery {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

const TAKEN = [202, 503];
const ONE_ID = randomUUID();
const withHeader =
  (name: string, value: string) =>
  ({ headers }: Delivery) => ({ headers: { ...headers, [name]: value } });
const withBody =
  (body: string) =>
  ({ headers }: Delivery) => ({ body, headers: { ...headers, ...signatureOf(body) } });

/** One in ten is a delivery as GitHub sends it. */
const kinds: readonly Kind[] = [
  { what: "sound", wanted: TAKEN },
  { what: "sent again", wanted: TAKEN, change: withHeader("x-github-delivery", ONE_ID) },
  {
    what: "forged",
    wanted: [401],
    change: ({ headers, body }) => ({ headers: { ...headers, ...signatureOf(body, "wrong") } }),
  },
  { what: "of half a signature", wanted: [401], change: withHeader("x-hub-signature-256", "sha256=00") },
  { what: "under a strange id", wanted: [400], change: withHeader("x-github-delivery", "../../x") },
  { what: "of a strange event", wanted: [400], change: withHeader("x-github-event", "PULL REQUEST") },
  { what: "of another type", wanted: [415], change: withHeader("content-type", "text/plain") },
  { what: "signed and no JSON", wanted: [400], change: withBody("{") },
  { what: "signed and no object", wanted: [400], change: withBody("[]") },
  { what: "to another path", wanted: [404], change: () => ({ path: "/webhook/x" }) },
];

async function storm(context: AttackContext, tally: Tally, url: string): Promise<void> {
  const before = process.memoryUsage().rss;
  const times: number[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  for (let left = context.cases(100_000, 600); left > 0; left -= AT_ONCE) {
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, i) => {
        const kind = kinds[i % kinds.length] ?? { what: "", wanted: [] };
        const sound = delivery(JSON.stringify(pullRequestBody({ number: left + i })));
        const began = performance.now();
        const status = await ask(agent, url, { ...sound, ...kind.change?.(sound) });
        times.push(performance.now() - began);
        tally.expect(kind.wanted.includes(status), () => `a delivery ${kind.what} is answered ${status}`);
      }),
    );
  }
  agent.destroy();
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

function delivery(body: string): Delivery {
  const headers = {
    "content-type": "application/json",
    "x-github-event": "pull_request",
    "x-github-delivery": randomUUID(),
    ...signatureOf(body),
  };
  return { method: "POST", path: "/webhook", body, headers };
}

function signatureOf(body: string, secret: string = SECRET): Record<string, string> {
  return { "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}` };
}

/** The status. Node's own client: a storm of fetches would be a test of fetch. */
async function ask(agent: Agent | undefined, url: string, { method, path, body, headers }: Delivery): Promise<number> {
  const asked = request(`${url}${path}`, {
    method,
    headers: { ...headers, "content-length": Buffer.byteLength(body) },
    ...(agent === undefined ? {} : { agent }),
  });
  // Also after the answer: whoever is refused half-way cannot say the rest.
  asked.on("error", () => undefined);
  asked.end(body);
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  answer.resume();
  await once(answer, "end");
  return answer.statusCode ?? 0;
}
