import { dayOf, machineLifeMs } from "@mayfly/core";
import { tagKeys } from "../../apps/orchestrator/src/fleet/providers/ec2/tags.ts";
import type { Ec2Fake } from "../fakes/ec2/server.ts";
import type { FakeInstance } from "../fakes/ec2/world.ts";
import type { Claimed } from "./guests.ts";

const HOUR_MS = 60 * 60_000;
/** What is said of breaches: the first ones are enough to look for the cause. */
const WORDS_MAX = 20;

/** The caps in force, as the operator set them. */
export interface Caps {
  readonly machines: number;
  readonly perInstallation: number;
  readonly perHour: number;
  /** US dollars. */
  readonly perDay: number;
}

/** Looks at the stand-in's own truth whenever it changes, and counts what must never be. */
export interface Watch {
  /** From now on these hold; launches that were intended before are judged by those before. */
  setCaps(caps: Caps, since: number): void;
  noteInstance(id: string): void;
  noteClaim(claimed: Claimed, installation: number): void;
  /** As of now. */
  look(): void;
  /** Machines intended within the hour; machines that live. */
  usage(): { readonly hourly: number; readonly living: number };
  /** Instances so far. */
  made(): number;
  readonly breaches: Breaches;
}

interface Breaches {
  capExceeded: number;
  /** Two machines, or one twice, at one attempt. */
  doubled: number;
  /** Things made without what a sweep goes by, which knows nothing but tags. */
  untagged: number;
  readonly most: { machines: number; perInstallation: number; perHour: number; perDay: number };
  readonly words: string[];
}

interface Known {
  readonly instance: FakeInstance;
  readonly intendedAt: number;
  claimed: (Claimed & { readonly installation: number }) | null;
}

export function createWatch(deps: {
  fake: Ec2Fake;
  now: () => number;
  runMsMax: number;
  dollarsPerHour: number;
}): Watch {
  const { fake, now } = deps;
  const { breaches, say, check } = createBreaches(now);
  const seen = createSeen(deps);
  const capsAt = createCapHistory();

  function noteInstance(id: string): void {
    const instance = fake.state.instances().find((one) => one.id === id);
    if (instance === undefined) {
      return;
    }
    const intendedAt = instantOf(instance.tags[tagKeys.launch]) ?? now();
    const caps = capsAt.find(intendedAt);
    seen.known.set(id, { instance, intendedAt, claimed: null });
    for (const words of untaggedOf(fake, instance)) {
      say("untagged", words);
    }
    check("machines", seen.living().length, caps.machines);
    check("perHour", seen.intendedWithinHour(intendedAt), caps.perHour);
    check("perDay", seen.dearest(), caps.perDay);
  }

  function noteClaim(claimed: Claimed, installation: number): void {
    const own = seen.known.get(claimed.instance);
    if (own === undefined || own.claimed !== null) {
      say("doubled", `${claimed.instance} was given ${claimed.run} beside ${own?.claimed?.run ?? "?"}`);
      return;
    }
    const others = seen.living().filter((one) => one !== own && one.claimed !== null);
    const same = others.find((one) => one.claimed?.run === claimed.run);
    if (same !== undefined) {
      say("doubled", `${claimed.run} is at ${claimed.instance} and at ${same.instance.id}`);
    }
    own.claimed = { ...claimed, installation };
    const count = 1 + others.filter((one) => one.claimed?.installation === installation).length;
    check("perInstallation", count, capsAt.find(now()).perInstallation);
  }

  return {
    breaches,
    made: () => seen.known.size,
    setCaps: capsAt.add,
    noteInstance,
    noteClaim,
    look: () => check("machines", seen.living().length, capsAt.find(now()).machines),
    usage: () => ({ hourly: seen.intendedWithinHour(now()), living: seen.living().length }),
  };
}

/** What must never be: how often it was, and the first of it in words. */
function createBreaches(now: () => number) {
  const most = { machines: 0, perInstallation: 0, perHour: 0, perDay: 0 };
  const breaches: Breaches = { capExceeded: 0, doubled: 0, untagged: 0, most, words: [] };

  function say(kind: "capExceeded" | "doubled" | "untagged", words: string): void {
    breaches[kind] += 1;
    if (breaches.words.length < WORDS_MAX) {
      breaches.words.push(`${new Date(now()).toISOString()} ${words}`);
    }
  }

  return {
    breaches,
    say,
    check(what: keyof Caps, count: number, cap: number): void {
      most[what] = Math.max(most[what], count);
      if (count > cap) {
        say("capExceeded", `${what}: ${count} of ${cap}`);
      }
    },
  };
}

function createCapHistory() {
  const history: { readonly since: number; readonly caps: Caps }[] = [];
  return {
    add: (caps: Caps, since: number) => void history.push({ since, caps }),
    find: (moment: number): Caps =>
      history.findLast(({ since }) => since <= moment)?.caps ?? history[0]?.caps ?? unlimited,
  };
}

/** Every machine that was ever made, as the stand-in has it, and what they cost. */
function createSeen(deps: Parameters<typeof createWatch>[0]) {
  const { fake, now, dollarsPerHour } = deps;
  const life = machineLifeMs(deps.runMsMax);
  const known = new Map<string, Known>();

  /** A machine is paid for from its launch to its end, or to its deadline as long as it lives. */
  function dollarsOf(moment: number): number {
    const { from, to } = dayOf(moment);
    let ms = 0;
    for (const { instance, intendedAt } of known.values()) {
      const end =
        instance.phase === "terminated" ? (instance.terminatedAt ?? now()) : deadlineOf(instance, intendedAt + life);
      ms += Math.max(0, Math.min(end, to) - Math.max(instance.launchedAt, from));
    }
    return (ms / HOUR_MS) * dollarsPerHour;
  }

  return {
    known,
    living(): Known[] {
      // Brings the stand-in up to now.
      fake.state.left();
      return [...known.values()].filter(({ instance }) => instance.phase !== "terminated");
    },
    intendedWithinHour: (until: number): number =>
      [...known.values()].filter(({ intendedAt }) => intendedAt > until - HOUR_MS && intendedAt <= until).length,
    dearest: (): number => Math.max(dollarsOf(now()), dollarsOf(dayOf(now()).to)),
  };
}

function untaggedOf(fake: Ec2Fake, instance: FakeInstance): string[] {
  const had = [...fake.state.volumes(), ...fake.state.interfaces()].filter((one) => one.instanceId === instance.id);
  return [instance, ...had].flatMap(({ id, tags }) => {
    const missing = [tagKeys.fleet, tagKeys.launch, tagKeys.deadline].filter((key) => tags[key] === undefined);
    return missing.length === 0 ? [] : [`${id} was made without ${missing.join(", ")}`];
  });
}

const unlimited: Caps = { machines: Infinity, perInstallation: Infinity, perHour: Infinity, perDay: Infinity };

/** The digits of ids, and how many of them are the time. */
const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";
const TIME_DIGITS = 10;

/** When an id was made; null where there is none. */
function instantOf(id: string | undefined): number | null {
  const digits = Array.from((id ?? "").slice(4, 4 + TIME_DIGITS), (digit) => DIGITS.indexOf(digit));
  return digits.length < TIME_DIGITS ? null : digits.reduce((sum, digit) => sum * 32 + digit, 0);
}

function deadlineOf({ tags }: FakeInstance, otherwise: number): number {
  const deadline = Date.parse(tags[tagKeys.deadline] ?? "");
  return Number.isNaN(deadline) ? otherwise : deadline;
}
