import { strict as assert } from "node:assert";
import {
  amountKinds,
  type AmountKind,
  type Amounts,
  type Budgets,
  type BudgetScope,
  budgetScopes,
  type Clock,
  type Instant,
  nothingSpent,
  type RunId,
  type RunRequest,
} from "@mayfly/core";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** Whose budgets a run's model calls are charged to besides its own; null for a run that is on no repository. */
export interface SpendPlace {
  readonly repository: number | null;
  readonly installation: number | null;
}

export interface SpendAttempt extends SpendPlace {
  readonly run: RunId;
  readonly epoch: number;
}

/** One admitted call, charged with the most it may take. */
export interface Reservation {
  readonly attempt: SpendAttempt;
  /** The day it is charged to, which may be over when it is settled. */
  readonly day: string;
  readonly number: number;
  readonly amounts: Amounts;
}

type Reserved =
  | { readonly ok: true; readonly reservation: Reservation }
  | {
      readonly ok: false;
      readonly scope: BudgetScope;
      readonly kind: AmountKind;
      readonly limit: number;
      /** Tokens of output that every budget still allows, where it is the answer that is too long; null where one is spent. */
      readonly outputTokensLeft: number | null;
    };

interface SpendReading {
  readonly attempt: Amounts;
  readonly run: Amounts;
  readonly repositoryDay: Amounts;
  readonly installationDay: Amounts;
  /** Refused model calls of the run, by code. */
  readonly refusals: Readonly<Record<string, number>>;
}

/** What model calls have taken. All methods throw STORE_UNAVAILABLE. */
export interface ModelSpend {
  /**
   * Charges a call to its attempt, its run and this day of its repository and installation: all or none. It is admitted
   * while each of them is below every limit, so that a budget is overshot by one call at most. A call that never comes
   * back stays charged with its most.
   *
   * With the price of a token of output in millionths of a US dollar, an answer is not admitted either that is longer than
   * what is left for it. Money is then counted as if all of it went into the answer: what the question costs is known only
   * once it is answered, and its most is several times what it takes.
   */
  reserve(attempt: SpendAttempt, amounts: Amounts, budgets: Budgets, outputPrice?: number): Promise<Reserved>;
  /** Corrects the charge to what the call took. Counts once: a repeat does nothing. */
  settle(reservation: Reservation, actual: Amounts): Promise<void>;
  /** Counts a refused call. Bound: 64 codes a run; further ones are not counted. */
  countRefusal(run: RunId, code: string): Promise<void>;
  /** The counters of an attempt, its run and today; zeros where nothing was charged. */
  read(run: RunId, epoch: number | null, place: SpendPlace): Promise<SpendReading>;
}

/** Whose day a run's model calls are charged to. */
export function spendPlaceOf({ origin }: RunRequest): SpendPlace {
  return origin.kind === "pull_request"
    ? { repository: origin.repository.id, installation: origin.installation }
    : { repository: null, installation: null };
}

/** A call that began before midnight is settled soon after it; a day more for reading what yesterday took. */
const DAY_KEEP_SECONDS = 2 * 24 * 3600;
/** The table of refusals is shorter. */
const REFUSAL_CODES_MAX = 64;
const REFUSAL_CHARS_MAX = 64;

const KINDS = amountKinds.map((kind) => `'${kind}'`).join(", ");

/**
 * KEYS calls under way, then each scope's counters, the attempt's first / amounts by kind, then for each scope: seconds to
 * keep, limits by kind ("" for none); last, the price of a token of output ("" where answers are not bounded). Returns 1
 * and the call's number; or 0, which scope and kind do not allow it, and the tokens left for an answer or -1 if it is spent.
 */
const RESERVE = `
local kinds = { ${KINDS} }
local width = #kinds + 1
local price = tonumber(ARGV[#ARGV])
local least = nil
for s = 2, #KEYS do
  local spent = redis.call('HMGET', KEYS[s], unpack(kinds))
  for k = 1, #kinds do
    local limit = tonumber(ARGV[#kinds + (s - 2) * width + 1 + k])
    if limit then
      local left = limit - (tonumber(spent[k]) or 0)
      if left <= 0 then return { 0, s - 2, k - 1, -1 } end
      local tokens = nil
      if price and kinds[k] == 'outputTokens' then tokens = left end
      if price and kinds[k] == 'microUsd' and price > 0 then tokens = math.floor(left / price) end
      if tokens and (not least or tokens < least[4]) then least = { 0, s - 2, k - 1, tokens } end
    end
  end
end
for k = 1, #kinds do
  if least and kinds[k] == 'outputTokens' and least[4] < tonumber(ARGV[k]) then return least end
end
for s = 2, #KEYS do
  for k = 1, #kinds do redis.call('HINCRBY', KEYS[s], kinds[k], ARGV[k]) end
  redis.call('EXPIRE', KEYS[s], ARGV[#kinds + (s - 2) * width + 1])
end
local number = redis.call('HINCRBY', KEYS[2], 'calls', 1)
redis.call('SADD', KEYS[1], number)
redis.call('EXPIRE', KEYS[1], ARGV[#kinds + 1])
return { 1, number }`;

/** KEYS as above / the call's number, differences by kind. What has expired is not brought back. */
const SETTLE = `
local kinds = { ${KINDS} }
if redis.call('SREM', KEYS[1], ARGV[1]) == 0 then return 0 end
for s = 2, #KEYS do
  if redis.call('EXISTS', KEYS[s]) == 1 then
    for k = 1, #kinds do redis.call('HINCRBY', KEYS[s], kinds[k], ARGV[k + 1]) end
  end
end
return 1`;

/** KEYS counts / code, most codes, seconds to keep. */
const REFUSE = `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return 1`;

/** The counters of model calls, in Redis, so that a budget outlives every process. `keepMs`: those of a run. */
export function createModelSpend(deps: { redis: Redis; prefix: string; clock: Clock; keepMs: number }): ModelSpend {
  const { redis, prefix, clock } = deps;
  const runSeconds = Math.ceil(deps.keepMs / 1000);
  const name = (...parts: readonly (string | number)[]) => `${prefix}spend:${parts.join(":")}`;

  /** The keys of the counters that this attempt has. */
  function countersOf({ run, epoch, repository, installation }: SpendAttempt, day: string) {
    const keys: Record<BudgetScope, string | null> = {
      attempt: name("attempt", run, epoch),
      run: name("run", run),
      repository_day: repository === null ? null : name("repository", repository, day),
      installation_day: installation === null ? null : name("installation", installation, day),
    };
    return budgetScopes.flatMap((scope) => {
      const key = keys[scope];
      return key === null ? [] : [{ scope, key }];
    });
  }

  const underWay = ({ run, epoch }: SpendAttempt) => name("calls", run, epoch);

  async function load(key: string | null): Promise<Amounts> {
    if (key === null) {
      return nothingSpent;
    }
    const values = await asking(() => redis.hmget(key, ...amountKinds));
    const [requests = 0, inputTokens = 0, outputTokens = 0, microUsd = 0] = values.map((value) => Number(value ?? 0));
    return { requests, inputTokens, outputTokens, microUsd };
  }

  return {
    async reserve(attempt, amounts, budgets, outputPrice) {
      assertWhole(amounts);
      const day = dayOf(clock.now());
      const counters = countersOf(attempt, day);
      const keys = [underWay(attempt), ...counters.map(({ key }) => key)];
      const args = counters.flatMap(({ scope }) => [
        scope === "attempt" || scope === "run" ? runSeconds : DAY_KEEP_SECONDS,
        ...amountKinds.map((kind) => budgets[scope][kind] ?? ""),
      ]);
      const charge = amountKinds.map((kind) => amounts[kind]);
      const answer = await asking(() =>
        redis.eval(RESERVE, keys.length, ...keys, ...charge, ...args, outputPrice ?? ""),
      );
      const [isAdmitted, first = 0, second = 0, left = -1] = answer as number[];
      if (isAdmitted === 1) {
        return { ok: true, reservation: { attempt, day, number: first, amounts } };
      }
      const scope = counters[first]?.scope;
      const kind = amountKinds[second];
      assert(scope !== undefined && kind !== undefined, "a refusal names a scope and a kind");
      return { ok: false, scope, kind, limit: budgets[scope][kind] ?? 0, outputTokensLeft: left < 0 ? null : left };
    },
    async settle({ attempt, day, number, amounts }, actual) {
      assertWhole(actual);
      const keys = [underWay(attempt), ...countersOf(attempt, day).map(({ key }) => key)];
      const differences = amountKinds.map((kind) => actual[kind] - amounts[kind]);
      await asking(() => redis.eval(SETTLE, keys.length, ...keys, number, ...differences));
    },
    async countRefusal(run, code) {
      const field = code.slice(0, REFUSAL_CHARS_MAX);
      await asking(() => redis.eval(REFUSE, 1, name("refusals", run), field, REFUSAL_CODES_MAX, runSeconds));
    },
    async read(run, epoch, { repository, installation }) {
      const day = dayOf(clock.now());
      const [attempt, whole, repositoryDay, installationDay, counts] = await Promise.all([
        load(epoch === null ? null : name("attempt", run, epoch)),
        load(name("run", run)),
        load(repository === null ? null : name("repository", repository, day)),
        load(installation === null ? null : name("installation", installation, day)),
        asking(() => redis.hgetall(name("refusals", run))),
      ]);
      const refusals = Object.fromEntries(Object.entries(counts).map(([code, times]) => [code, Number(times)]));
      return { attempt, run: whole, repositoryDay, installationDay, refusals };
    },
  };
}

/** The day in UTC, `YYYY-MM-DD`. */
function dayOf(now: Instant): string {
  return new Date(now).toISOString().slice(0, 10);
}

function assertWhole(amounts: Amounts): void {
  for (const kind of amountKinds) {
    assert(Number.isSafeInteger(amounts[kind]) && amounts[kind] >= 0, `${kind} is a whole number, 0 or more`);
  }
}
