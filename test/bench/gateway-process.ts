import { limits } from "@mayfly/core";
import { openGateway } from "../../apps/orchestrator/src/broker/model-gateway.fixture.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { startTestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { tellEffort } from "./effort.ts";
import { CALLS_PER_MACHINE, STREAMS } from "./traffic.ts";

/** The real gateway over a real Redis, in a process of its own, with as many machines as the streams need. */
const redis = await startTestRedis();
const { log } = createLog({ level: "error" });
/** Looked at before every call, and never spent. */
const plenty = { requests: 10 ** 9, inputTokens: 10 ** 12, outputTokens: 10 ** 12, microUsd: 10 ** 12 };
const opened = await openGateway({
  redis,
  url: process.argv[2] ?? "",
  clock: { now: () => Date.now() },
  log,
  machines: STREAMS / CALLS_PER_MACHINE,
  budgets: { attempt: plenty, run: plenty, repository_day: plenty, installation_day: plenty },
});
/** As an agent does: a machine that is silent is lost, and its calls are cut. */
const beating = setInterval(() => {
  for (const { machine } of opened.attempts) {
    void opened.records.applyToMachine(machine, { type: "heard" });
  }
}, limits.heartbeatMs);
let ending: Promise<void> | null = null;

tellEffort();
// The bench has ended, or has died. Ctrl-C reaches every process of the group: this one waits for the bench to go first,
// since the Redis behind it would be left alone otherwise.
process.on("disconnect", () => void end());
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => void end());
process.send?.({ attempts: opened.attempts.map(({ socketPath, key }) => ({ socketPath, key })) });

async function end(): Promise<void> {
  clearInterval(beating);
  ending ??= opened.close().then(() => redis.end());
  await ending;
  process.exit();
}
