import { ClaimRequest, EventBatch, GateReport, readStrictJson, ResultFrame } from "@mayfly/core";
import { say } from "../../fakes/model/script.ts";
import { type BrokerBench, type Channel, sayOver, startBroker } from "../broker-bench.ts";
import { hostileFrame } from "../corpus/frames.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const schemas = { claim: ClaimRequest, gate: GateReport, events: EventBatch, result: ResultFrame } as const;
const paths = ["claim", "gate", "events", "result"] as const;
/** Beyond what the suite itself needs; a reader that keeps what it was sent would need gigabytes. */
const GROWTH_BYTES_MAX = 600 * 1024 * 1024;

export const hostileFrames: Row = {
  id: "T34",
  attack:
    "Frames that no agent would send: huge, deep, cut, doubled, with wrong types, broken characters and stray fields.",
  needs: "redis",
  unit: "frames",
  control: "sound frames among them are taken, and are taken still when all of this is over",
  async run(context) {
    const tally = createTally();
    const before = process.memoryUsage().rss;
    inReaders(context, tally);
    const broker = await startBroker(await context.redis(), () => say("Fine."));
    const end = context.atEnd(() => broker.close());
    await overChannels(context, tally, broker);
    await end();
    const grown = process.memoryUsage().rss - before;
    tally.expect(grown < GROWTH_BYTES_MAX, () => `memory grew by ${Math.round(grown / 1024 / 1024)} MiB`);
    return tally.verdict("every frame was taken whole or refused whole, and nothing grew or broke");
  },
};

/** The readers alone, as fast as they go: nothing is thrown, and what is taken means one thing. */
function inReaders(context: AttackContext, tally: Tally): void {
  const random = context.random("readers");
  let taken = 0;
  for (let left = context.cases(400_000, 6_000); left > 0 && !tally.isBroken; left--) {
    const kind = random.pick(paths);
    const text = hostileFrame(random, kind);
    let problem: string | null = null;
    try {
      const read = readStrictJson(text, { depthMax: 8, charsMax: 1_000_000 });
      const parsed = read.ok ? schemas[kind].safeParse(read.value) : null;
      taken += parsed?.success === true ? 1 : 0;
      // What was taken and what stands there are the same, to the last letter: nothing was there twice, nothing is gone.
      const isWhole =
        parsed?.success !== true || text.includes("\\u") || bare(JSON.stringify(parsed.data)) === bare(text);
      problem = isWhole ? null : "is taken as something else";
    } catch (error) {
      problem = `throws ${String(error)}`;
    }
    tally.expect(problem === null, () => `${kind} ${text.slice(0, 300)} ${problem}`);
  }
  tally.control(taken > 0, "no frame at all is taken");
}

/** Without blanks, which mean nothing between the parts of JSON. */
function bare(text: string): string {
  return text.replaceAll(/\s/g, "");
}

/** The same, over the socket of a machine at work: a crash of the broker would be everybody's. */
async function overChannels(context: AttackContext, tally: Tally, broker: BrokerBench): Promise<void> {
  const random = context.random("channels");
  const rounds = context.cases(300, 5);
  for (let round = 0; round < rounds && !tally.isBroken; round++) {
    const id = await broker.addRun();
    const channel = await broker.addMachine();
    const { capability } = await channel.claim();
    for (let i = 0; i < context.cases(60, 40) && !tally.isBroken; i++) {
      const kind = random.pick(["gate", "events", "result"] as const);
      const text = hostileFrame(random, kind);
      const before = await broker.run(id);
      const status = await frameOver(channel, { path: `/v1/${kind}`, token: capability, text, isRaw: random.once(6) });
      const after = await broker.run(id);
      const isKept = status >= 500 || status < 400 || JSON.stringify(after) === JSON.stringify(before);
      tally.expect(status < 500, () => `${kind} ${text.slice(0, 200)} is answered ${status}`);
      tally.expect(isKept, () => `${kind} ${text.slice(0, 200)} was refused and changed the run all the same`);
      if (after.phase !== "running") {
        break;
      }
    }
    const { status } = await channel.call({ path: "/v1/heartbeat", token: capability });
    tally.control(status === 200, `afterwards a heartbeat is answered ${status}`);
  }
}

async function frameOver(
  channel: Channel,
  { path, token, text, isRaw }: { path: string; token: string; text: string; isRaw: boolean },
): Promise<number> {
  if (!isRaw) {
    return (await channel.call({ path, token, body: text })).status;
  }
  // Bytes that are no UTF-8, and a body shorter than was said.
  const head = `POST ${path} HTTP/1.1\r\nhost: broker\r\nconnection: close\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
  const bytes = `${Buffer.from(text).toString("latin1")}\u00ff`;
  const said = await sayOver(channel.socket, `${head}content-length: ${bytes.length}\r\n\r\n${bytes}`);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(said)?.[1] ?? 400);
}
