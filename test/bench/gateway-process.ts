import { openGateway } from "../../apps/orchestrator/src/broker/model-gateway.fixture.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { startTestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { CALLS_PER_MACHINE, STREAMS } from "./traffic.ts";

const MIB = 1024 * 1024;

/** The real gateway over a real Redis, in a process of its own, with as many machines as the streams need. */
const redis = await startTestRedis();
const { log } = createLog({ level: "error" });
const opened = await openGateway({
  redis,
  url: process.argv[2] ?? "",
  clock: { now: () => Date.now() },
  log,
  machines: STREAMS / CALLS_PER_MACHINE,
});
let ending: Promise<void> | null = null;

process.on("message", () => {
  // Node is started so that it can be told to: what is left is held, and not merely not collected yet.
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  process.send?.({ resident: rss / MIB, held: heapUsed / MIB });
});
// The bench has ended, or has died. Ctrl-C reaches every process of the group: this one waits for the bench to go first,
// since the Redis behind it would be left alone otherwise.
process.on("disconnect", () => void end());
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => void end());
process.send?.({ attempts: opened.attempts.map(({ socketPath, key }) => ({ socketPath, key })) });

async function end(): Promise<void> {
  ending ??= opened.close().then(() => redis.end());
  await ending;
  process.exit();
}
