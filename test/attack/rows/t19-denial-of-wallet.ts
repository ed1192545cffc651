import { type AmountLimits, type Amounts, type Budgets, limits } from "@mayfly/core";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import {
  createModelSpend,
  type ModelSpend,
  type Reservation,
} from "../../../apps/orchestrator/src/store/model-spend.ts";
import { say } from "../../fakes/model/script.ts";
import { startBroker } from "../broker-bench.ts";
import type { Random } from "../corpus/random.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const unlimited: AmountLimits = { requests: null, inputTokens: null, outputTokens: null, microUsd: null };
const scopes = ["attempt", "run", "repository_day", "installation_day"] as const;
const kinds = ["requests", "inputTokens", "outputTokens", "microUsd"] as const;
/** Tokens that one answer claims to have taken: a whole day's budget in one go. */
const HUGE = 2_000_000;

const modelCall = {
  model: "gpt-5.5",
  input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "Hello." }] }],
  stream: true,
  store: false,
};

export const denialOfWallet: Row = {
  id: "T19",
  attack:
    "Model calls are made without end, many at once, with huge answers, past a crash, or where the answer never says its cost.",
  needs: "redis",
  control: "calls within the budget are made, and without a budget the same calls go on",
  async run(context) {
    const tally = createTally();
    await overChannels(context, tally);
    await ledgers(context, tally);
    return tally.verdict("every budget ended the calls, with one call beyond it at most");
  },
};

/** Through a machine's own channel, with a budget of each kind in turn. */
async function overChannels(context: AttackContext, tally: Tally): Promise<void> {
  for (const kind of kinds) {
    // The bench's runs are on no repository; whole days are the ledgers' part.
    for (const scope of scopes.slice(0, 2)) {
      // Money for a hundred tokens of the bench's prices: less than the least answer's would allow no call at all.
      const limit = { requests: 3, inputTokens: 1_000, outputTokens: 1_000, microUsd: 100_000 }[kind];
      const budgets: Budgets = { ...noBudgets, [scope]: { ...unlimited, [kind]: limit } };
      const made = await callsUntilRefused(context, budgets, 6);
      const most = kind === "requests" ? limit : 1;
      tally.expect(
        made.calls <= most,
        () => `with ${kind} limited for ${scope} the model was asked ${made.calls} times`,
      );
      tally.expect(/BUDGET/.test(made.code), () => `then the answer is ${made.code}`);
      tally.control(made.calls > 0, "no call at all is made");
    }
  }
  const free = await callsUntilRefused(context, noBudgets, 6);
  tally.control(free.calls === 6, `without a budget ${free.calls} of 6 calls are made`);
}

const noBudgets: Budgets = {
  attempt: unlimited,
  run: unlimited,
  repository_day: unlimited,
  installation_day: unlimited,
};

/** Makes calls one after the other, each of which takes a huge amount. */
async function callsUntilRefused(
  context: AttackContext,
  budgets: Budgets,
  tries: number,
): Promise<{ calls: number; code: string }> {
  const script = () => say("Fine.", { usage: { inputTokens: HUGE, outputTokens: HUGE } });
  const broker = await startBroker(await context.redis(), script, { budgets });
  const end = context.atEnd(() => broker.close());
  await broker.addRun();
  const channel = await broker.addMachine();
  const { capability } = await channel.claim();
  const checks = [{ name: "identity", ok: true, seen: "uid 1001" }];
  await channel.call({ path: "/v1/gate", token: capability, body: { safety_strategy: "unprivileged-user", checks } });
  const { key } = (await channel.call({ path: "/v1/key", token: capability })).body as { key: string };
  let code = "";
  for (let left = tries; left > 0 && code === ""; left--) {
    const answer = await channel.call({ path: "/v1/responses", token: key, body: modelCall });
    code = answer.status === 200 ? "" : (answer.code ?? answer.text);
  }
  const calls = broker.model.requests.length;
  await end();
  return { calls, code };
}

/**
 * Two brokers on one store, one of which dies now and then: what is admitted is compared with books of our own, in which
 * a call is charged with its most until it says what it took.
 */
async function ledgers(context: AttackContext, tally: Tally): Promise<void> {
  const { redis, prefix } = await context.redis();
  const random = context.random("ledgers");
  for (let round = context.cases(120, 6); round > 0 && !tally.isBroken; round--) {
    const name = prefix();
    const clock = { now: () => Date.now() };
    const open = () => createModelSpend({ redis, prefix: name, clock, keepMs: limits.finishedRunMs });
    await oneLedger(tally, random, open);
  }
}

async function oneLedger(tally: Tally, random: Random, open: () => ModelSpend): Promise<void> {
  const budgets = budgetsOf(random);
  const runs = [randomIds.run(1), randomIds.run(2)];
  const spent = new Map<string, number>();
  const out: { reservation: Reservation; most: Amounts; places: string[] }[] = [];
  let brokers = [open(), open()];
  let refused = 0;
  for (let step = 0; step < 60 && !tally.isBroken; step++) {
    const broker = random.pick(brokers);
    if (random.once(20)) {
      // What it had under way stays charged with its most.
      brokers = [open(), open()];
      out.length = 0;
    } else if (out.length > 0 && random.once(2)) {
      const [settled] = out.splice(random.int(out.length), 1);
      if (settled !== undefined) {
        const actual = amountsOf(random, settled.most);
        await broker.settle(settled.reservation, actual);
        // Once more, as after a lost answer: it must not count again.
        await broker.settle(settled.reservation, { requests: 0, inputTokens: 0, outputTokens: 0, microUsd: 0 });
        charge(spent, settled.places, actual, settled.most);
      }
    } else {
      const run = random.pick(runs);
      const most = amountsOf(random, { requests: 1, inputTokens: 900, outputTokens: 900, microUsd: 900 });
      const places = [`attempt ${run}`, `run ${run}`, "repository_day", "installation_day"];
      const isSpent = scopes.some((scope, index) =>
        kinds.some((kind) => (spent.get(`${places[index]} ${kind}`) ?? 0) >= (budgets[scope][kind] ?? Infinity)),
      );
      const reserved = await broker.reserve({ run, epoch: 1, repository: 1, installation: 1 }, most, budgets);
      tally.expect(
        reserved.ok === !isSpent,
        () => `${JSON.stringify([...spent])} of ${JSON.stringify(budgets)}: ${reserved.ok ? "admitted" : "refused"}`,
      );
      refused += reserved.ok ? 0 : 1;
      if (reserved.ok) {
        charge(spent, places, most, null);
        out.push({ reservation: reserved.reservation, most, places });
      }
    }
  }
  tally.control(refused > 0, "the budget of a round was never spent");
}

function charge(spent: Map<string, number>, places: readonly string[], taken: Amounts, instead: Amounts | null): void {
  for (const place of places) {
    for (const kind of kinds) {
      const name = `${place} ${kind}`;
      spent.set(name, (spent.get(name) ?? 0) + taken[kind] - (instead?.[kind] ?? 0));
    }
  }
}

function amountsOf(random: Random, most: Amounts): Amounts {
  return {
    requests: 1,
    inputTokens: random.int(most.inputTokens + 1),
    outputTokens: random.int(most.outputTokens + 1),
    microUsd: random.int(most.microUsd + 1),
  };
}

/** Each scope has some limits, and all calls together go beyond one of them. */
function budgetsOf(random: Random): Budgets {
  const some = (): AmountLimits => ({
    requests: random.once(2) ? 3 + random.int(8) : null,
    inputTokens: random.once(2) ? 1_000 + random.int(4_000) : null,
    outputTokens: random.once(2) ? 1_000 + random.int(4_000) : null,
    microUsd: random.once(2) ? 1_000 + random.int(4_000) : null,
  });
  return { attempt: some(), run: some(), repository_day: some(), installation_day: { ...some(), requests: 12 } };
}
