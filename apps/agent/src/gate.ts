import { GateCheck } from "@mayfly/core/protocol";
import type { GateReport, SafetyStrategy } from "@mayfly/core/protocol";
import { z } from "zod";
import type { Cgroup } from "./cgroup.ts";
import type { Confinement } from "./confinement.ts";
import { codexEnvironment } from "./environment.ts";
import { StepFailure } from "./failure.ts";
import type { ProbeOrders } from "./inside/probe.ts";
import { CODEX_GID, CODEX_UID, RELAY_PORT, places } from "./places.ts";
import type { Settings } from "./settings.ts";

/** All that is looked at; a probe that leaves one out has not passed. */
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

// Two seconds under emulation on a quiet host.
const PROBE_MS = 60_000;

// What the shell sets by itself.
const SHELL_VARIABLES = ["PWD", "OLDPWD", "_", "SHLVL"];

/**
 * Proves that the confinement holds, from within it. The report names each thing and what was seen; throws StepFailure
 * when there is no full report. Whether all is well is for the caller to ask with `failedChecks`.
 */
export async function inspectConfinement(options: {
  confinement: Confinement;
  cgroup: Cgroup;
  probe: string;
  broker: Settings["broker"];
  strategy: SafetyStrategy;
  signal: AbortSignal;
}): Promise<GateReport> {
  const { confinement, cgroup, probe, broker, strategy, signal } = options;
  const orders = JSON.stringify(probeOrders(cgroup.name, broker));
  const program = { path: places.node, args: ["--eval", probe, "--", orders] };
  const end = await confinement.run(program, { cgroup, timeoutMs: PROBE_MS, signal });
  const checks = readChecks(end.stdout.toString("utf8"));
  if (end.exitCode !== 0 || checks === null) {
    const how = end.cut ?? end.signal ?? `exit code ${end.exitCode}`;
    throw new StepFailure("gate", `the start gate could not look (${how}): ${end.stderr}`);
  }
  return { safety_strategy: strategy, checks };
}

/** The checks that failed, in words; empty when Codex may start. */
export function failedChecks(report: GateReport): string[] {
  return report.checks.filter(({ ok }) => !ok).map(({ name, seen }) => `${name} (${seen})`);
}

/** The probe's report, or null unless it holds exactly the known checks in order. */
export function readChecks(text: string): GateCheck[] | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const read = z.array(GateCheck).length(gateChecks.length).safeParse(value);
  const isFull = read.success && read.data.every(({ name }, index) => name === gateChecks[index]);
  return isFull ? read.data : null;
}

function probeOrders(cgroup: string, broker: Settings["broker"]): ProbeOrders {
  return {
    agentPid: process.pid,
    uid: CODEX_UID,
    gid: CODEX_GID,
    broker,
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
