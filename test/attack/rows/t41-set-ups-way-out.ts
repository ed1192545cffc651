import { once } from "node:events";
import { hasOpenSetupConnection, limits } from "@mayfly/core";
import { open } from "../broker-bench.ts";
import { gate } from "../channel-scene.ts";
import type { AttackContext, Row } from "../row.ts";
import { type Asked, HOST, NAMED, type SetupBench, type SetupScene, startSetupBench } from "../setup-scene.ts";
import { createTally, type Tally } from "../tally.ts";

/** Pieces of what a tool might ask a proxy for. */
const pieces = [
  HOST,
  NAMED,
  "127.0.0.1",
  "localhost",
  "[::1]",
  "169.254.169.254",
  "example.com",
  "@",
  ":",
  "443",
  "80",
];
const signs = [".", "..", "/", "%00", "%2e", "?", "#", "*", "-", "_", "a", "\t", "\u00e9"];

/** What a set-up may reach is the one way out of a machine that does not lead to the model. */
export const setUpsWayOut: Row = {
  id: "T41",
  attack:
    "A set-up reaches for hosts that nobody named, hides which it asks for, sends without end, and stays connected.",
  needs: "redis",
  unit: "targets and names",
  control: "a host that task and operator name is reached, for as long as the set-up lasts",
  async run(context) {
    const tally = createTally();
    const bench = await startSetupBench(await context.redis());
    const end = context.atEnd(() => bench.close());
    await elsewhere(context, tally, bench);
    await hidden(tally, bench);
    await withoutEnd(tally, bench);
    await pastTheGate(tally, bench);
    await end();
    return tally.verdict("a set-up reached the host that it named, and nobody once it was over");
  },
};

/** Whatever is asked for, nobody is reached but the host by its exact name. */
async function elsewhere(context: AttackContext, tally: Tally, bench: SetupBench): Promise<void> {
  const scene = await bench.settingUp();
  const random = context.random("targets");
  tally.control((await tryIt(bench, scene, {})).includes("got 0"), "the host that was named was not reached");
  const reached = bench.reached();
  const named = [`${NAMED}:443`, `${HOST}:80`, `${HOST}:0443`, `${HOST}.:443`, `x@${HOST}:443`, "127.0.0.1:443"];
  const made = Array.from({ length: context.cases(2_000, 60) }, () => random.soup([...pieces, ...signs], 1, 5));
  for (const target of [...named, ...made].filter((one) => one.toLowerCase() !== `${HOST}:443`)) {
    await tryIt(bench, scene, { target });
    tally.expect(bench.reached() === reached, () => `somebody was reached by ${JSON.stringify(target)}`);
    if (tally.isBroken) {
      return;
    }
  }
  for (const network of [[], [NAMED], ["other.example.com"]]) {
    const other = await bench.settingUp(network);
    await tryIt(bench, other, {});
    tally.expect(bench.reached() === reached, () => `a task that names ${network.join()} reached ${HOST}`);
  }
}

/** The name in TLS must be the one that was asked for, and be there. */
async function hidden(tally: Tally, bench: SetupBench): Promise<void> {
  const scene = await bench.settingUp();
  const reached = bench.reached();
  for (const servername of [NAMED, "", `${HOST}.example.com`, HOST.slice(1)]) {
    await tryIt(bench, scene, { servername });
    tally.expect(bench.reached() === reached, () => `the name in TLS was ${JSON.stringify(servername)}`);
  }
  const socket = await connectBy(bench, scene);
  socket.end("POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
  socket.resume();
  await once(socket, "close");
  tally.expect(bench.reached() === reached, "something without TLS reached somebody");
}

async function withoutEnd(tally: Tally, bench: SetupBench): Promise<void> {
  const scene = await bench.settingUp();
  const body = "y".repeat(limits.setupSentBytesMax / 2);
  for (let time = 0; time < 3; time += 1) {
    await tryIt(bench, scene, { body });
  }
  const { setupConnections = [] } = await bench.bench.run(scene.id);
  const sent = setupConnections.reduce((sum, { reservedBytes, end }) => sum + (end?.sentBytes ?? reservedBytes), 0);
  tally.expect(sent <= limits.setupSentBytesMax, () => `${sent} bytes were let out`);
  tally.control(sent >= body.length, "nothing was let out");
}

/** What was opened before the gate is cut by it; nothing is opened after. */
async function pastTheGate(tally: Tally, bench: SetupBench): Promise<void> {
  const scene = await bench.settingUp();
  const held = await connectBy(bench, scene);
  const over = once(held, "close");
  const { machine } = scene.channel;
  // One that another broker has open, which this one cannot cut.
  await bench.bench.records.applyToRun(scene.id, { type: "setup_opened", id: ELSEWHERE, host: HOST, machine });
  const early = await scene.channel.call({ path: "/v1/gate", token: scene.capability, body: gate() });
  const waiting = await bench.bench.run(scene.id);
  const isWaiting = waiting.phase === "running" && waiting.attempt.gate === null;
  tally.expect(isWaiting, () => `the gate passed with ${early.status} while another broker had a connection open`);
  const end = { sentBytes: 0, receivedBytes: 0, why: "closed" } as const;
  await bench.bench.records.applyToRun(scene.id, { type: "setup_closed", id: ELSEWHERE, end, machine });
  const { status } = await scene.channel.call({ path: "/v1/gate", token: scene.capability, body: gate() });
  tally.control(status === 200, "the gate did not pass");
  const run = await bench.bench.run(scene.id);
  tally.expect(!hasOpenSetupConnection(run, Date.now()), "a connection was open where a key may be");
  const reached = bench.reached();
  await tryIt(bench, scene, {});
  tally.expect(bench.reached() === reached, "somebody was reached after the gate");
  // Cut or not, the bench ends it.
  bench.atEnd(() => held.destroy());
  await Promise.race([over, new Promise((resolve) => setTimeout(resolve, CUT_MS).unref())]);
  tally.expect(held.destroyed || held.readableEnded, "what was opened before the gate is open after it");
}

const ELSEWHERE = "con_elsewhere";
/** A cut is written down before the gate answers; only the end of the socket itself may come later. */
const CUT_MS = 5_000;

async function connectBy(bench: SetupBench, { channel, capability }: SetupScene) {
  const socket = await open(channel.socket);
  bench.atEnd(() => socket.destroy());
  socket.on("error", () => undefined);
  socket.write(`CONNECT ${HOST}:443 HTTP/1.1\r\nauthorization: Bearer ${capability}\r\n\r\n`);
  await once(socket, "data");
  socket.resume();
  return socket;
}

async function tryIt(bench: SetupBench, scene: SetupScene, asked: Asked): Promise<string> {
  return bench.fetchThrough(scene, asked).catch(String);
}
