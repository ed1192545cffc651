import { matchesAnyFolded, matchesGlob } from "./glob.ts";
import { limits } from "./limits.ts";
import type { SafetyStrategy } from "./protocol.ts";
import type { TaskDefaults } from "./task-file.ts";
import { namedPublications, type Publish, type TaskSpec } from "./task-spec.ts";

/** What the operator allows at most, whatever a task file says. In patterns `*` stands for any characters but `/`. */
export interface Ceiling {
  readonly labels: readonly string[];
  /** `owner/name`. */
  readonly repositories: readonly string[];
  readonly models: readonly string[];
  readonly safetyStrategies: readonly SafetyStrategy[];
  readonly publications: readonly Publish[];
  readonly runMsMax: number;
  /** Hosts that set-up commands may reach; none unless the operator names them. */
  readonly setupHosts: readonly string[];
}

/** One thing of a task that the ceiling does not allow. */
export interface CeilingRefusal {
  /** The option of the task file. */
  readonly option: "model" | "timeout" | "safety-strategy" | "network" | "publish";
  /** What a refused run says. */
  readonly detail: string;
}

/** How an operator lets tasks have Codex as root. It is never the default. */
export const unsafeLeave =
  "unsafe is Codex as root in its machine; to allow it an operator adds unsafe to policy.safety_strategies " +
  "(MAYFLY_SAFETY_STRATEGIES)";

/** What a task gets when it says nothing stays below the ceiling: only what somebody wrote is refused. Pure. */
export function taskDefaults(ceiling: Ceiling, modelDefault: string): TaskDefaults {
  return {
    model: modelDefault,
    timeoutMs: Math.min(limits.runMsDefault, ceiling.runMsMax),
    // A review wants an answer of a certain shape, a patch is put on a branch: only a task that asks for one gets it.
    publish: ceiling.publications.filter((name) => !namedPublications.includes(name)),
  };
}

/** Why this label starts no runs here; null if it does. Pure. */
export function refuseLabel(label: string, ceiling: Ceiling): string | null {
  return matchesAnyFolded(ceiling.labels, label)
    ? null
    : `label: "${label}" is not allowed here; allowed: ${ceiling.labels.join(", ")}`;
}

/** Why this repository, `owner/name`, has no runs here; null if it may. Pure. */
export function refuseRepository(fullName: string, ceiling: Ceiling): string | null {
  const { repositories } = ceiling;
  return matchesAnyFolded(repositories, fullName) ? null : notAllowed("repository", fullName, repositories);
}

/** All that the ceiling refuses of a task; a run ends with the first of them. Pure. */
export function refuseTask(task: TaskSpec, ceiling: Ceiling): CeilingRefusal[] {
  const refusals: CeilingRefusal[] = [];
  if (!ceiling.models.some((pattern) => matchesGlob(pattern, task.model))) {
    refusals.push({ option: "model", detail: notAllowed("model", task.model, ceiling.models) });
  }
  if (task.timeoutMs > ceiling.runMsMax) {
    const detail = notAllowed("timeout", span(task.timeoutMs), [`up to ${span(ceiling.runMsMax)}`]);
    refusals.push({ option: "timeout", detail });
  }
  const { safetyStrategy: asked } = task;
  if (!ceiling.safetyStrategies.includes(asked)) {
    const fix = asked === "unsafe" ? `; ${unsafeLeave}` : "";
    const detail = `${notAllowed("safety-strategy", asked, ceiling.safetyStrategies)}${fix}`;
    refusals.push({ option: "safety-strategy", detail });
  }
  for (const host of (task.network ?? []).filter((name) => !ceiling.setupHosts.includes(name))) {
    const detail = `${notAllowed("network", host, ceiling.setupHosts)}; an operator names hosts under policy.setup_hosts (MAYFLY_SETUP_HOSTS)`;
    refusals.push({ option: "network", detail });
  }
  for (const kind of task.publish.filter((name) => !ceiling.publications.includes(name))) {
    refusals.push({ option: "publish", detail: notAllowed("publish", kind, ceiling.publications) });
  }
  return refusals;
}

/** A time as task files write it. */
export function span(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1_000}s`;
}

function notAllowed(option: string, value: string, allowed: readonly string[]): string {
  return `${option}: ${value} is not allowed here; allowed: ${allowed.length === 0 ? "none" : allowed.join(", ")}`;
}
