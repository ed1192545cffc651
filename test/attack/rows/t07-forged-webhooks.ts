import { createHmac, randomUUID } from "node:crypto";
import { limits, parseWebhook, requestRun, triggerOf } from "@mayfly/core";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { createHandleDelivery } from "../../../apps/orchestrator/src/intake/handle-delivery.ts";
import { createSignatureCheck } from "../../../apps/orchestrator/src/intake/signature.ts";
import { buildWebhookServer } from "../../../apps/orchestrator/src/intake/webhook-server.ts";
import { createRecords } from "../../../apps/orchestrator/src/runs/records.ts";
import { createDeliveryStore } from "../../../apps/orchestrator/src/store/deliveries.ts";
import { createPlaceStore } from "../../../apps/orchestrator/src/store/places.ts";
import { createRecordStore } from "../../../apps/orchestrator/src/store/records.ts";
import type { Random } from "../corpus/random.ts";
import { LABEL, pullRequestBody } from "../corpus/webhook-bodies.ts";
import { queuedRun } from "../records.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const SECRET = "the-webhook-secret-in-use";
const OTHER = "the-webhook-secret-before";
const options = { labels: ["codex-*"], appSlug: "mayfly" };

export const forgedWebhooks: Row = {
  id: "T07",
  attack: "A webhook is forged, cut, sent again under another id, or given the name of another event.",
  needs: "redis",
  unit: "webhooks",
  control: "a delivery of GitHub's own starts one run, and so does one signed with the secret before",
  async run(context) {
    const tally = createTally();
    await signatures(context, tally);
    await deliveries(context, tally);
    bodies(context, tally);
    return tally.verdict("nothing unsigned was taken, and each event started one run at most");
  },
};

/** Every change of one bit in body or signature, and signatures of other kinds. */
async function signatures(context: AttackContext, tally: Tally): Promise<void> {
  const isSigned = createSignatureCheck([SECRET, OTHER]);
  const random = context.random("signatures");
  for (let left = context.cases(100_000, 1_500); left > 0 && !tally.isBroken; left--) {
    const body = JSON.stringify(
      pullRequestBody({ title: random.soup(["a", "é", "🙂", "\\n"], 0, 5), number: 1 + random.int(9) }),
    );
    const good = signed(body, random.pick([SECRET, OTHER]));
    if (left % 50 === 0) {
      tally.control(await isSigned(body, good), "a good signature is refused");
    }
    const [text, signature] = forged(random, body, good);
    tally.expect(!(await isSigned(text, signature)), () => `${signature} is taken for ${text.slice(0, 100)}`);
  }
}

function forged(random: Random, body: string, good: string): [string, string] {
  switch (random.int(8)) {
    case 0:
      return [flip(random, body), good];
    case 1:
      return [body, flip(random, good)];
    case 2:
      return [body, good.slice(0, random.int(good.length))];
    case 3:
      return [body, signed(body, random.pick(["", "wrong", `${SECRET} `, SECRET.slice(1)]))];
    case 4:
      return [body, `sha1=${createHmac("sha1", SECRET).update(body).digest("hex")}`];
    case 5:
      return [`${body} `, good];
    case 6:
      return [body, good.replace("sha256=", random.pick(["", "sha512=", "sha256:"]))];
    default:
      return [
        body,
        random.pick(["", "sha256=", "sha256=undefined", "null", `sha256=${"0".repeat(64)}`, "[object Object]"]),
      ];
  }
}

function flip(random: Random, text: string): string {
  const bytes = Buffer.from(text);
  const at = random.int(bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(7));
  const changed = bytes.toString("utf8");
  return changed.toLowerCase() === text.toLowerCase() ? `${text}x` : changed;
}

function signed(body: string, secret: string): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

/** Through the real listener and the real handling, to the run's record. */
async function deliveries(context: AttackContext, tally: Tally): Promise<void> {
  const bench = await openIntake(context);
  const random = context.random("deliveries");
  for (let left = context.cases(400, 12); left > 0 && !tally.isBroken; left--) {
    const number = 100 + left;
    const body = JSON.stringify(pullRequestBody({ number, label: random.pick([LABEL, "codex-other"]) }));
    const before = await bench.runs();
    const forgery = { body, event: "pull_request", signature: signed(body, "wrong") };
    tally.equal(await bench.send(forgery), 401, "the answer to a forged delivery");
    for (const event of [
      "issue_comment",
      "push",
      "check_run",
      "check_suite",
      "ping",
      "installation",
      "__proto__",
      "PULL_REQUEST",
      "pull_request\u00a0",
    ]) {
      await bench.send({ body, event });
    }
    tally.equal((await bench.runs()) - before, 0, "runs that forged or renamed deliveries started");
    const guid = randomUUID();
    await bench.send({ body, event: "pull_request", guid });
    tally.control((await bench.runs()) - before === 1, "a delivery of GitHub's own starts no run");
    await bench.send({ body, event: "pull_request", guid });
    await Promise.all([0, 1, 2].map(() => bench.send({ body, event: "pull_request" })));
    await bench.send({ body: `${body}\n`, event: "pull_request" });
    tally.equal((await bench.runs()) - before, 1, "runs after the same event was sent again");
  }
  await bench.close();
}

interface Sent {
  readonly body: string;
  readonly event: string;
  readonly guid?: string;
  readonly signature?: string;
}

async function openIntake(
  context: AttackContext,
): Promise<{ send(sent: Sent): Promise<number>; runs(): Promise<number>; close(): Promise<void> }> {
  const { redis, prefix: nextPrefix } = await context.redis();
  const prefix = nextPrefix();
  const clock = { now: () => Date.now() };
  const { log } = createLog({ level: "silent" });
  const store = createRecordStore({ redis, prefix, keepFinishedMs: limits.finishedRunMs });
  const deliveryStore = createDeliveryStore({ redis, prefix, keepMs: limits.deliveryMemoryMs, clock });
  const handle = createHandleDelivery({
    deliveries: deliveryStore,
    store,
    records: createRecords({ store, clock }),
    wakeups: { wakeRun: async () => undefined, wakeMachine: async () => undefined, wakeLaunch: async () => undefined },
    starter: {
      // What policy says of it is another row's.
      prepare: async ({ id, now }) => requestRun({ id, request: queuedRun(now).request, now }),
    },
    clock,
    ids: randomIds,
    log,
    labels: options.labels,
    appSlug: async () => options.appSlug,
    forgetRepository: async () => undefined,
    commands: {
      resolve: async () => ({ kind: "said" as const, reason: "not tried here" }),
      listReruns: async () => ({ reruns: [], passedOver: [] }),
    },
    decidePatch: async () => "not applied",
    taskCheck: null,
    operator: { resolve: async () => "not tried here" },
    places: createPlaceStore({ redis, prefix }),
  });
  const server = buildWebhookServer({ secrets: [SECRET, OTHER], deliveries: deliveryStore, wake: handle, log });
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const close = context.atEnd(() => server.close());
  return {
    close,
    runs: async () => (await store.listLiveRuns()).length,
    async send({ body, event, guid = randomUUID(), signature = signed(body, SECRET) }) {
      const headers = {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": guid,
        "x-hub-signature-256": signature,
      };
      const answer = await fetch(`${url}/webhook`, { method: "POST", headers, body }).catch(() => null);
      await answer?.arrayBuffer();
      return answer?.status ?? 0;
    },
  };
}

/** Payloads with one part another: read as what they are, or refused, and never anything else. */
function bodies(context: AttackContext, tally: Tally): void {
  const random = context.random("bodies");
  let starts = 0;
  for (let left = context.cases(100_000, 4_000); left > 0 && !tally.isBroken; left--) {
    const body = mutated(
      random,
      pullRequestBody({ action: random.pick(["labeled", "unlabeled", "synchronize", "closed", "opened"]) }),
    );
    const event = random.pick([
      "pull_request",
      "pull_request",
      "pull_request",
      "installation",
      "ping",
      "issue_comment",
      "",
    ]);
    let problem: string | null = null;
    try {
      const trigger = triggerOf(parseWebhook({ event, body }), options);
      if (trigger.kind === "start") {
        starts += 1;
        const { head, base, number } = trigger.pullRequest;
        const isSound =
          event === "pull_request" &&
          /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(head.sha) &&
          /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(base.sha) &&
          Number.isSafeInteger(number) &&
          number > 0 &&
          trigger.sender.login.length > 0 &&
          trigger.label.startsWith("codex-");
        problem = isSound ? null : "starts a run";
      }
    } catch (error) {
      problem = `throws ${String(error)}`;
    }
    tally.expect(problem === null, () => `${event} with ${JSON.stringify(body).slice(0, 400)} ${problem}`);
  }
  tally.control(starts > 0, "no payload at all starts a run");
}

const values: readonly unknown[] = [
  null,
  0,
  -1,
  1.5,
  2 ** 53,
  "",
  "x",
  "x".repeat(3_000),
  "../..",
  "A".repeat(40),
  `${"a".repeat(40)}\n`,
  [],
  {},
  [[]],
  true,
  { toString: 1 },
  "2026-13-45T99:99:99Z",
];

/** One place of it, somewhere, holds something else, or is gone. */
function mutated(random: Random, body: Record<string, unknown>): Record<string, unknown> {
  let place = body;
  for (let depth = 0; depth < 5; depth++) {
    const name = random.pick(Object.keys(place));
    const inner = place[name];
    if (typeof inner !== "object" || inner === null || random.once(4) || Object.keys(inner).length === 0) {
      if (random.once(5)) {
        delete place[name];
      } else if (!random.once(3)) {
        place[name] = random.pick(values);
      }
      return body;
    }
    place = inner as Record<string, unknown>;
  }
  return body;
}
