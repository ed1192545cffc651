import { Assignment, HeartbeatAnswer, type MachineId, type ResultFrame } from "@mayfly/core";
import { machineIdOf } from "../../apps/orchestrator/src/fleet/providers/ec2/machine-id.ts";
import type { Chance } from "../fakes/ec2/chance.ts";
import type { OnInstance } from "../fakes/ec2/guests.ts";
import type { BrokerAnswer, BrokerCall } from "./broker.ts";
import type { VirtualTime } from "./time.ts";

const SECOND = 1_000;
/** Between two questions for an attempt, and after a call that nobody answered. */
const ASK_AGAIN_MS = 5 * SECOND;
/** Three of them may be missed before the service takes a machine for lost. */
const HEARTBEAT_MS = 15 * SECOND;
/** A machine ends by itself whatever happens. */
const WATCHDOG_MS = 90 * 60 * SECOND;
const CLOSED_AFTER = [401, 403, 404, 409, 410];

/** How often what goes wrong, from 0 to 1. */
const rates = {
  neverBoots: 0.02,
  diesBooting: 0.02,
  diesWarm: 0.02,
  diesClaimed: 0.03,
  fallsSilent: 0.01,
  losesClaimAnswer: 0.01,
  agentFails: 0.03,
  neverEnds: 0.02,
};

export interface Claimed {
  readonly instance: string;
  readonly machine: MachineId;
  readonly run: string;
  readonly epoch: number;
}

export interface StormGuests {
  readonly onInstance: OnInstance;
  /** Guests by what they were born to do. */
  readonly fates: Readonly<Record<keyof typeof rates, number>>;
}

interface GuestsDeps {
  readonly time: VirtualTime;
  readonly chance: Chance;
  /** Null where nobody answered. */
  readonly ask: (machine: MachineId, call: BrokerCall) => Promise<BrokerAnswer | null>;
  readonly powerOff: (instance: string) => void;
  readonly onClaimed: (claimed: Claimed) => void;
}

/** What a guest has to live by. */
interface Body extends Pick<GuestsDeps, "time" | "onClaimed"> {
  readonly instance: string;
  readonly machine: MachineId | null;
  isFated(fate: keyof typeof rates): boolean;
  between(fromMs: number, toMs: number): number;
  /** Never ends once the machine has. */
  sleep(ms: number): Promise<void>;
  off(): void;
  /** Until somebody answers. Null for a refusal that stays one. */
  insist(call: BrokerCall): Promise<unknown>;
}

/**
 * What runs in the stand-in's instances: an agent as far as the broker can tell, without Codex. It boots, asks for an
 * attempt, reports, posts a result and powers off, or goes wrong on the way.
 */
export function createStormGuests(deps: GuestsDeps): StormGuests {
  const { time, chance, onClaimed } = deps;
  const fates = Object.fromEntries(Object.keys(rates).map((fate) => [fate, 0])) as Record<keyof typeof rates, number>;

  function isFated(fate: keyof typeof rates): boolean {
    const happens = chance.happens(rates[fate]);
    fates[fate] += happens ? 1 : 0;
    return happens;
  }

  return {
    fates,
    onInstance({ id }) {
      const machine = machineIdOf(id);
      const between = (fromMs: number, toMs: number) => fromMs + chance.below(toMs - fromMs);
      let stopped = false;
      const sleep = (ms: number) =>
        new Promise<void>((resolve) => time.after(ms, () => (stopped ? undefined : resolve())));
      const off = () => (stopped ? undefined : deps.powerOff(id));
      const ask = async (call: BrokerCall) => {
        const answer = machine === null ? null : await deps.ask(machine, call);
        return stopped ? new Promise<never>(() => undefined) : answer;
      };
      const insist = (call: BrokerCall) => insistOn(() => ask(call), sleep);
      void live({ time, onClaimed, instance: id, machine, isFated, between, sleep, off, insist });
      return {
        stop() {
          stopped = true;
        },
      };
    },
  };
}

async function insistOn(ask: () => Promise<BrokerAnswer | null>, sleep: Body["sleep"]): Promise<unknown> {
  for (;;) {
    const answer = await ask();
    if (answer?.status === 200) {
      return answer.body ?? {};
    }
    if (answer !== null && CLOSED_AFTER.includes(answer.status)) {
      return null;
    }
    await sleep(ASK_AGAIN_MS);
  }
}

async function live(body: Body): Promise<void> {
  const { time, machine, isFated, between, off } = body;
  time.after(WATCHDOG_MS, off);
  if (isFated("neverBoots")) {
    return;
  }
  await body.sleep(between(20 * SECOND, 60 * SECOND));
  if (isFated("diesBooting")) {
    return off();
  }
  let isClaimed = false;
  if (isFated("diesWarm")) {
    time.after(between(SECOND, 30 * SECOND), () => (isClaimed ? undefined : off()));
  }
  const assignment = await claim(body);
  if (assignment === null || machine === null) {
    return off();
  }
  isClaimed = true;
  body.onClaimed({ instance: body.instance, machine, run: assignment.run, epoch: assignment.epoch });
  await work(body, assignment);
  off();
}

async function claim({ insist, isFated, sleep }: Body): Promise<Assignment | null> {
  const hello = { protocol: 1, agent: "storm", codex: "storm" };
  for (;;) {
    const answered = await insist({ url: "/v1/claim", body: hello });
    if (answered === null) {
      return null;
    }
    const assignment = Assignment.safeParse(answered);
    if (assignment.success && !isFated("losesClaimAnswer")) {
      return assignment.data;
    }
    await sleep(ASK_AGAIN_MS);
  }
}

async function work(body: Body, { capability, epoch, codex }: Assignment): Promise<void> {
  const { time, isFated, between, sleep } = body;
  const say = (url: string, frame: object = {}) => body.insist({ url, body: frame, capability });
  if (isFated("diesClaimed")) {
    time.after(between(SECOND, 180 * SECOND), body.off);
  }
  const silentAt = isFated("fallsSilent") ? time.now() + between(SECOND, 120 * SECOND) : Infinity;
  const endsAt = isFated("neverEnds") ? Infinity : time.now() + between(60 * SECOND, 240 * SECOND);
  const checks = [{ name: "storm", ok: true, seen: "nothing" }];
  const begun = [
    await say("/v1/events", { first: 0, events: [{ type: "source_ready" }] }),
    await say("/v1/gate", { safety_strategy: codex.safety_strategy, checks }),
    await say("/v1/key"),
    await say("/v1/events", { first: 1, events: [{ type: "codex_started" }] }),
  ];
  let endedBy: "exit" | "stop" | "deadline" = "exit";
  while (time.now() < endsAt && endedBy === "exit" && !begun.includes(null)) {
    await sleep(Math.min(HEARTBEAT_MS, endsAt - time.now()));
    if (time.now() >= silentAt) {
      return sleep(WATCHDOG_MS);
    }
    const { stop } = HeartbeatAnswer.catch({ stop: "cancelled" }).parse(await say("/v1/heartbeat"));
    endedBy = stop === null ? "exit" : stop === "deadline" ? "deadline" : "stop";
  }
  await say("/v1/events", { first: 2, events: [{ type: "codex_exited", exit_code: 0 }] });
  await say("/v1/freeze");
  await say("/v1/result", isFated("agentFails") ? failureOf(epoch) : resultOf(epoch, endedBy));
}

function failureOf(epoch: number): ResultFrame {
  return { kind: "failure", epoch, failure: { step: "codex", message: "it did not start" } };
}

function resultOf(epoch: number, ended_by: "exit" | "stop" | "deadline"): ResultFrame {
  return {
    kind: "result",
    epoch,
    result: {
      codex: { version: "storm", exit_code: ended_by === "exit" ? 0 : null, ended_by, error: null },
      final_message: { state: "present", text: "No findings." },
      structured: null,
      patch: { state: "withheld", why: "absent" },
      usage: null,
    },
  };
}
