import type { Brokers } from "@mayfly/core/enrolment";
import { GateCheck } from "@mayfly/core/protocol";
import type { GateReport } from "@mayfly/core/protocol";
import { z } from "zod";
import type { Cgroup } from "./cgroup.ts";
import type { Confinement, MachineUser } from "./confinement.ts";
import { codexEnvironment } from "./environment.ts";
import { StepFailure } from "./failure.ts";
import type { ProbeOrders } from "./inside/probe.ts";
import { CODEX_GID, CODEX_UID, RELAY_PORT, places } from "./places.ts";
import type { Strategy } from "./strategies/strategy.ts";

/** All that is looked at; a probe that leaves one out that it was asked for has not passed. */
export const gateChecks = [
  "identity",
  "capabilities",
  "no_new_privs",
  "processes",
  "foreign_memory",
  "sudo",
  "setuid",
  "interfaces",
  "listeners",
  "channel",
  "relay",
  "sockets",
  "cgroup",
  "limits",
  "user_namespaces",
  "sealed",
  "hidden",
  "devices",
  "environment",
] as const;
export type GateCheckName = (typeof gateChecks)[number];

/**
 * What may be asked of a start as root: where it stands, and under which limits. Nothing is closed, hidden or forbidden
 * to root, so to look whether it is would be theatre.
 */
const gateChecksOfRoot: readonly GateCheckName[] = [
  "identity",
  "interfaces",
  "listeners",
  "channel",
  "relay",
  "cgroup",
  "limits",
  "user_namespaces",
  "environment",
];

// Two seconds under emulation on a quiet host.
const PROBE_MS = 60_000;

// What the shell sets by itself.
const SHELL_VARIABLES = ["PWD", "OLDPWD", "_", "SHLVL"];

/** The checks that mean something for Codex as this user, in order. */
export function gateChecksFor(user: MachineUser): readonly GateCheckName[] {
  return user === "root" ? gateChecksOfRoot : gateChecks;
}

/**
 * Proves that the confinement holds, from within it. The report names each thing and what was seen, and what it makes no
 * sense to ask; throws StepFailure when there is no full report. Whether all is well is for the caller to ask with
 * `failedChecks`.
 */
export async function inspectConfinement(options: {
  confinement: Confinement;
  cgroup: Cgroup;
  probe: string;
  brokers: Brokers;
  strategy: Strategy;
  signal: AbortSignal;
}): Promise<GateReport> {
  const { confinement, cgroup, probe, brokers, strategy, signal } = options;
  const wanted = gateChecksFor(strategy.user);
  const orders = JSON.stringify(probeOrders({ cgroup: cgroup.name, brokers, user: strategy.user, checks: wanted }));
  const program = { path: places.node, args: ["--eval", probe, "--", orders] };
  const end = await confinement.run(program, { cgroup, timeoutMs: PROBE_MS, signal });
  const checks = readChecks(end.stdout.toString("utf8"), wanted);
  if (end.exitCode !== 0 || checks === null) {
    const how = end.cut ?? end.signal ?? `exit code ${end.exitCode}`;
    throw new StepFailure("gate", `the start gate could not look (${how}): ${end.stderr}`);
  }
  const left = gateChecks.filter((name) => !wanted.includes(name));
  return { safety_strategy: strategy.name, checks, ...(left.length === 0 ? {} : { not_applicable: left }) };
}

/** The checks that failed, in words; empty when Codex may start. */
export function failedChecks(report: GateReport): string[] {
  return report.checks.filter(({ ok }) => !ok).map(({ name, seen }) => `${name} (${seen})`);
}

/** The probe's report, or null unless it holds exactly the wanted checks in order. */
export function readChecks(text: string, wanted: readonly GateCheckName[]): GateCheck[] | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const read = z.array(GateCheck).length(wanted.length).safeParse(value);
  const isFull = read.success && read.data.every(({ name }, index) => name === wanted[index]);
  return isFull ? read.data : null;
}

function probeOrders(options: Pick<ProbeOrders, "cgroup" | "brokers" | "checks"> & { user: MachineUser }): ProbeOrders {
  const { cgroup, brokers, checks, user } = options;
  return {
    checks,
    agentPid: process.pid,
    uid: user === "root" ? 0 : CODEX_UID,
    gid: user === "root" ? 0 : CODEX_GID,
    brokers,
    relayPort: RELAY_PORT,
    cgroup,
    cgroups: places.cgroups,
    environment: [...Object.keys(codexEnvironment()), ...SHELL_VARIABLES],
    root: "/",
    sealed: [
      "/",
      "/etc",
      "/usr",
      "/usr/bin",
      "/usr/local/bin",
      "/opt",
      "/opt/mayfly",
      "/opt/mayfly/agent.mjs",
      "/opt/node/bin",
      places.node,
      "/opt/codex/bin",
      places.codex,
      places.run,
    ],
    hidden: [
      "/root",
      places.pack,
      "/etc/shadow",
      "/dev/mem",
      "/dev/kmsg",
      "/proc/kcore",
      "/proc/kmsg",
      "/proc/1/environ",
    ],
  };
}
