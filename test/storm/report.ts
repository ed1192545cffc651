import type { Run } from "@mayfly/core";
import type { Ec2Fake } from "../fakes/ec2/server.ts";
import { bends } from "./bends.ts";
import type { StormGitHub } from "./github.ts";
import type { StormGuests } from "./guests.ts";
import type { StormOptions } from "./storm.ts";
import type { QueueCounts } from "./wakeups.ts";
import type { Watch } from "./watch.ts";

/** What EC2 may be asked for one run, on average. */
const CALLS_PER_RUN_MAX = 2;
/** Attempts that a run may lose before it may end as lost. */
const LOST_ATTEMPTS = 2;
const MINUTE_MS = 60_000;
/** Answers that the storm itself asked for. */
const EXPECTED_VIOLATIONS = /IdempotentParameterMismatch/;
/** Endings that no fault of a machine, of EC2 or of the service may cause. */
const OWN_ENDINGS = ["answered", "codex_failed", "agent_failed", "deadline", "operator", "answer_missing"];

/** The figures that decide. */
interface Figures {
  /** Those asked for, or those that had ended where the storm was broken off. */
  readonly runs: number;
  /** Runs that ended in no visible state, or that a fault ended which may not. */
  readonly lost: number;
  /** Runs published twice, and attempts given to two machines. */
  readonly doubled: number;
  /** Instances, volumes and interfaces that are still there; 0 where runs are still open, whose they may be. */
  readonly left: number;
  /** Moments at which a cap was exceeded. */
  readonly capExceeded: number;
  readonly ec2CallsPerRun: number;
}

export interface StormReport {
  readonly options: StormOptions;
  readonly figures: Figures;
  /** Why it ended before its runs; null for a storm that passed. */
  readonly brokenOff: string | null;
  /** Runs that had not ended where it was broken off, or not begun. */
  readonly open: number;
  /** Runs by ending. */
  readonly endings: Readonly<Record<string, number>>;
  readonly secondAttempts: number;
  readonly lostTwice: number;
  readonly instances: number;
  readonly most: Watch["breaches"]["most"];
  readonly calls: Readonly<Record<string, number>>;
  readonly fates: StormGuests["fates"];
  readonly binding: Readonly<Record<string, number>>;
  readonly crashes: number;
  readonly wakeups: QueueCounts;
  readonly virtualMs: number;
  readonly realMs: number;
  /** What went wrong, in words. */
  readonly words: readonly string[];
}

interface Passed {
  readonly options: StormOptions;
  readonly ended: readonly Run[];
  /** Why it ended before its runs, "by a signal"; null for a storm that passed. */
  readonly brokenOff: string | null;
  readonly github: StormGitHub;
  readonly fake: Ec2Fake;
  readonly watch: Watch;
  readonly guests: StormGuests;
  readonly binding: Readonly<Record<string, number>>;
  readonly crashes: number;
  readonly wakeups: QueueCounts;
  readonly virtualMs: number;
  readonly realMs: number;
}

/** Counts, from the truth of those who were asked: the records for how runs ended, the stand-ins for all else. */
export function endOf(of: Passed): StormReport {
  const { ended, fake, watch, options } = of;
  const { figures, words } = judge(of);
  return {
    options,
    figures,
    brokenOff: of.brokenOff,
    open: options.runs - figures.runs,
    endings: tally(ended.map(endingOf)),
    secondAttempts: ended.filter(({ epoch }) => epoch > 1).length,
    lostTwice: ended.filter((run) => endingOf(run).startsWith("lost")).length,
    instances: watch.made(),
    most: watch.breaches.most,
    calls: fake.state.callsByAction(),
    fates: of.guests.fates,
    binding: of.binding,
    crashes: of.crashes,
    wakeups: of.wakeups,
    virtualMs: of.virtualMs,
    realMs: of.realMs,
    words,
  };
}

function judge({
  options,
  ended,
  brokenOff,
  github,
  fake,
  watch,
  wakeups,
}: Passed): Pick<StormReport, "figures" | "words"> {
  // A run that a broken-off storm left open may yet have ended well, and what is still there may be its machine.
  const judged = ended.filter(({ phase }) => phase === "done" || brokenOff === null);
  const isCut = judged.length < options.runs;
  const there = fake.state.left();
  const lost = judged.filter((run) => isLost(run));
  const unseen = judged.filter((run) => !isLost(run) && github.made(run.id).comments === 0);
  const twice = ended.filter(({ id }) => github.made(id).comments > 1 || github.made(id).checks > 1);
  const violations = fake.violations.filter((one) => !EXPECTED_VIOLATIONS.test(one));
  const figures: Figures = {
    runs: judged.length,
    lost: lost.length + unseen.length,
    doubled: twice.length + watch.breaches.doubled,
    left: isCut ? 0 : there.instances + there.volumes + there.interfaces,
    capExceeded: watch.breaches.capExceeded,
    ec2CallsPerRun: Math.round((fake.calls.length / Math.max(1, judged.length)) * 100) / 100,
  };
  const words = [
    ...watch.breaches.words,
    ...lost.slice(0, 10).map((run) => `${run.id} ended as ${endingOf(run)} after ${run.epoch} attempts`),
    ...unseen.slice(0, 10).map(({ id }) => `${id} ended and said so nowhere`),
    ...twice.slice(0, 10).map(({ id }) => `${id} was published ${JSON.stringify(github.made(id))}`),
    ...violations.slice(0, 10).map((one) => `EC2 was asked for what no good client asks: ${one}`),
    ...wakeups.failures.map((one) => `a step failed: ${one}`),
    ...(!isCut && isLarge(options) && figures.ec2CallsPerRun > CALLS_PER_RUN_MAX
      ? [`${figures.ec2CallsPerRun} EC2 calls a run, and ${CALLS_PER_RUN_MAX} are the most`]
      : []),
    ...(figures.left === 0 ? [] : [`left: ${JSON.stringify(there)}`]),
  ];
  return { figures, words };
}

/** Whether all is as it must be. */
export function isWell({ figures, words, options, brokenOff }: StormReport): boolean {
  const { runs, lost, doubled, left, capExceeded } = figures;
  return brokenOff === null && runs === options.runs && lost + doubled + left + capExceeded === 0 && words.length === 0;
}

/** The fewer runs share a listing, the more calls each takes: the bound is for a fleet at work. */
function isLarge({ runs, atOnce }: StormOptions): boolean {
  return runs >= 1_000 && atOnce >= 200;
}

function isLost(run: Run): boolean {
  return run.phase !== "done" || !(OWN_ENDINGS.includes(run.ending.code) || hasLostTwo(run));
}

function hasLostTwo(run: Run & { phase: "done" }): boolean {
  return run.ending.outcome === "lost" && run.epoch >= LOST_ATTEMPTS && run.gone.length >= LOST_ATTEMPTS;
}

function endingOf(run: Run): string {
  return run.phase === "done" ? `${run.ending.outcome} (${run.ending.code})` : `still ${run.phase}`;
}

function tally(words: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(words, (word) => word)].map(([word, all]) => [word, all.length]));
}

/** For people: a table, and how to see it again. */
export function renderReport(report: StormReport): string {
  const rows = rowsOf(report);
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
  return `${[...lines, "", ...verdictOf(report)].join("\n")}\n`;
}

function rowsOf(report: StormReport): [string, string][] {
  const { figures, most, wakeups } = report;
  return [
    ["runs", `${figures.runs} (${listed(report.endings)})`],
    ["lost", `${figures.lost}; lost after two lost attempts: ${report.lostTwice}`],
    ["second attempts", String(report.secondAttempts)],
    ["published or given out twice", String(figures.doubled)],
    ["left at EC2", String(figures.left)],
    [
      "caps exceeded",
      `${figures.capExceeded} (most at once: ${most.machines} machines, ${most.perInstallation} of one installation)`,
    ],
    ["looks at which a cap held runs up", listed(report.binding)],
    ["EC2 calls per run", `${figures.ec2CallsPerRun} (${listed(report.calls)})`],
    ["machines", `${report.instances} (${listed(report.fates)})`],
    ["service", `${report.crashes} crashes, ${wakeups.lost} lost wake-ups, ${wakeups.failed} failed steps`],
    [
      "time",
      `${(report.virtualMs / MINUTE_MS).toFixed(0)} simulated minutes in ${(report.realMs / 1000).toFixed(0)} s`,
    ],
  ];
}

function verdictOf(report: StormReport): string[] {
  const { options, brokenOff, words } = report;
  if (isWell(report)) {
    return ["All is well."];
  }
  const { seed, runs, atOnce } = options;
  const bent = Object.entries(bends).find(([, bend]) => bend === options.bend);
  const again = [
    `npm run storm -- --seed ${seed} --runs ${runs} --at-once ${atOnce}`,
    ...(bent ? ["--bend", bent[0]] : []),
  ];
  return [
    ...(brokenOff === null ? [] : [`Broken off ${brokenOff}: of ${runs} runs ${report.open} had not ended.`]),
    ...(brokenOff !== null && words.length === 0 ? [] : ["Wrong:", ...words.map((word) => `  ${word}`)]),
    `Again: ${again.join(" ")}`,
  ];
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
