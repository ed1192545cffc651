import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type NetConnectOpts } from "node:net";
import { createRelay } from "../../../apps/agent/src/relay.ts";
import { say } from "../../fakes/model/script.ts";
import { type BrokerBench, hello, startBroker } from "../broker-bench.ts";
import { MARK, rawRequest } from "../corpus/raw-requests.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

/** Callers at once: more model calls than a machine may make are refused, which is fine as well. */
const AT_ONCE = 24;
/** Silence after which nothing more will come: a caller that gets no answer is left waiting, and that is an answer too. */
const SILENCE_MS = 250;

const modelCall = {
  model: "gpt-5.5",
  input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "Hello." }] }],
  stream: true,
  store: false,
};

/** What goes out behind the broker is written anew: it is the same for every proper call, and nothing for any other. */
export const smuggledRequests: Row = {
  id: "T18",
  attack:
    "Headers, keys, paths, methods and second requests are smuggled through the relay and the broker to the model.",
  needs: "redis",
  unit: "raw requests",
  control:
    "proper calls among them do reach the model, and a smuggled header is seen where nobody writes the request anew",
  async run(context) {
    const tally = createTally();
    const broker = await startBroker(await context.redis(), () => say("Fine."));
    const end = context.atEnd(() => broker.close());
    await throughBroker(context, tally, broker);
    await end();
    await throughRelay(context, tally);
    return tally.verdict("the model saw one method, one path and our own headers alone");
  },
};

async function throughBroker(context: AttackContext, tally: Tally, broker: BrokerBench): Promise<void> {
  await broker.addRun();
  const channel = await broker.addMachine();
  const { capability } = await channel.claim();
  const checks = [{ name: "identity", ok: true, seen: "uid 1001" }];
  await channel.call({ path: "/v1/gate", token: capability, body: { safety_strategy: "unprivileged-user", checks } });
  const lent = await channel.call({ path: "/v1/key", token: capability });
  const { key } = lent.body as { key: string };
  const token = { token: key, body: JSON.stringify(modelCall) };
  const first = await channel.call({ path: "/v1/responses", token: key, body: modelCall });
  tally.control(first.status === 200, "a proper call is refused");
  const golden = requestOf(broker, 0);
  tally.expect(!golden.includes(key) && golden.includes(broker.modelKey), () => `the model was sent ${golden}`);
  const random = context.random("broker");
  let seen = 1;
  const where = { path: channel.socket };
  // First of all: a proper call that takes its time would be taken for one of these.
  for (const wrong of ["line", "length"] as const) {
    const make = () => rawRequest(random, { ...token, wrong });
    await sayMany(where, tally, context.cases(25_000, 150), make, (said) => {
      tally.expect(
        broker.model.requests.length === seen,
        () => `the model was asked by one of ${JSON.stringify(said())}`,
      );
    });
  }
  const make = () => rawRequest(random, token);
  await sayMany(where, tally, context.cases(50_000, 400), make, (said) => {
    tally.count(1);
    for (; seen < broker.model.requests.length; seen++) {
      const request = requestOf(broker, seen);
      tally.expect(
        request === golden,
        () => `of ${JSON.stringify(said())} the model was sent ${request} instead of ${golden}`,
      );
    }
  });
  tally.control(seen > 3, "none of the proper calls among them reached the model");
  // Still there, and still the machine's own.
  const after = await channel.call({ path: "/v1/heartbeat", token: capability });
  tally.expect(after.status === 200, () => `afterwards the broker answers ${after.status} ${after.text}`);
  await channel.call({ path: "/v1/claim", body: hello });
}

/** A request as the model saw it, but for what is different in each by design. */
function requestOf({ model }: BrokerBench, index: number): string {
  const request = model.requests[index];
  return JSON.stringify([request?.method, request?.path, request?.headers, request?.body]);
}

/** Codex's side of the machine: whatever is said there, one method on one path comes out, with the relay's own key. */
async function throughRelay(context: AttackContext, tally: Tally): Promise<void> {
  const key = "the-relays-own-key";
  const seen: string[] = [];
  const upstream = createHttpServer((request, response) => {
    const { host: _, "content-length": length, ...headers } = request.headers;
    seen.push(JSON.stringify([request.method, request.url, headers, length !== undefined]));
    request
      .resume()
      .on("end", () => response.writeHead(200, { "content-type": "text/event-stream" }).end("data: {}\n\n"));
  });
  upstream.listen(0, "127.0.0.1");
  const listener = createServer().listen(0, "127.0.0.1");
  await Promise.all([once(upstream, "listening"), once(listener, "listening")]);
  const { port } = upstream.address() as AddressInfo;
  const relay = createRelay({ listener, broker: { host: "127.0.0.1", port } });
  const end = context.atEnd(async () => {
    relay.close();
    upstream.closeAllConnections();
    upstream.close();
  });
  relay.setKey(key);
  const here = { host: "127.0.0.1", port: (listener.address() as AddressInfo).port };
  const wanted = { token: "codex", body: JSON.stringify(modelCall) };
  await sayRaw(
    { host: "127.0.0.1", port },
    `POST /v1/responses HTTP/1.1\r\nhost: x\r\nx: ${MARK}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
  );
  tally.control(
    seen.some((request) => request.includes(MARK)),
    "a smuggled header is not seen",
  );
  seen.length = 0;
  const random = context.random("relay");
  let passed = 0;
  const makeWrong = () => rawRequest(random, { ...wanted, wrong: "line" });
  await sayMany(here, tally, context.cases(30_000, 150), makeWrong, (said) => {
    tally.expect(seen.length === 0, () => `the broker was asked by one of ${JSON.stringify(said())}`);
  });
  const make = () => rawRequest(random, wanted);
  await sayMany(here, tally, context.cases(70_000, 350), make, (said) => {
    tally.count(1);
    for (const request of seen.splice(0)) {
      const isOurs =
        request.startsWith(`["POST","/v1/responses",`) && request.includes(`"authorization":"Bearer ${key}"`);
      // Two headers are the caller's own words, which the broker does not pass on.
      const isClean = !request.replaceAll(/"(?:accept|content-type)":"[^"]*"/g, "").includes(MARK);
      tally.expect(isOurs && isClean, () => `of ${JSON.stringify(said())} the relay made ${request}`);
      passed += 1;
    }
  });
  tally.control(passed > 3, "none of the proper calls passed the relay");
  await end();
}

/** Many callers, none of which waits for another: one that gets no answer holds up nobody. Each is followed by a look. */
async function sayMany(
  where: NetConnectOpts,
  tally: Tally,
  count: number,
  make: () => string,
  look: (said: () => string[]) => void,
): Promise<void> {
  const said: string[] = [];
  let left = count;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (; left > 0 && !tally.isBroken; left--) {
        const raw = make();
        said.push(raw);
        said.splice(0, said.length - 2 * AT_ONCE);
        await sayRaw(where, raw);
        look(() => said);
      }
    }),
  );
}

/** Sends bytes and waits until the other side hangs up or has had its time. */
async function sayRaw(where: NetConnectOpts, bytes: string): Promise<void> {
  const socket = connect(where);
  socket.setTimeout(SILENCE_MS, () => socket.destroy());
  socket.on("error", () => undefined);
  socket.resume();
  // Not ended: a caller that hangs up has its call dropped.
  socket.write(Buffer.from(bytes, "latin1"));
  await new Promise((resolve) => socket.once("close", resolve));
}
