import { limits } from "./limits.ts";
import type { SafetyStrategy, Sandbox } from "./protocol.ts";

/** Options of a task after its file, the defaults and the operator's ceiling have been put together. */
export interface TaskSpec {
  /** False in the file of a task that nobody may start; not there in any other, nor in any run. */
  readonly enabled?: false;
  /** The label, or `local` for a run from the command line. */
  readonly name: string;
  readonly model: string;
  readonly effort: string | null;
  readonly sandbox: Sandbox;
  readonly safetyStrategy: SafetyStrategy;
  readonly outputSchema: string | null;
  readonly workingDirectory: string;
  readonly codexArgs: readonly string[];
  /** Shell commands that are run before Codex, as its user; not there in records of tasks without. */
  readonly setup?: readonly string[];
  /** Hosts that those commands may reach, by exact name; not there in records of tasks without. */
  readonly network?: readonly string[];
  readonly allowUsers: readonly string[];
  readonly allowBots: boolean;
  readonly allowBotUsers: readonly string[];
  readonly publish: readonly Publish[];
  readonly timeoutMs: number;
  /** What becomes of a live run when its pull request is made a draft; without: it goes on. */
  readonly onDraft?: OnDraft;
}

/** What becomes of a live run when its pull request is made a draft. */
export type OnDraft = "cancel" | "continue";

/** What a task may put on GitHub. */
export type Publish = "comment" | "check" | "review" | PatchMode;

/**
 * What becomes of what Codex changed: a `patch` waits for a person, a `commit` needs nobody to apply it, and a
 * `draft-pull-request` asks for the patch to be merged into the pull request's branch.
 */
export type PatchMode = (typeof patchModes)[number];

export const patchModes = ["patch", "commit", "draft-pull-request"] as const;

/** What a task gets only if it names it, and the modes of a patch only if the operator does too. */
export const namedPublications: readonly Publish[] = ["review", ...patchModes];

/** Whether what Codex changed is offered as a patch. */
export function offersPatch({ publish }: Pick<TaskSpec, "publish">): boolean {
  return patchModes.some((mode) => publish.includes(mode));
}

/** What a task does with its patch by itself, once its run is published; null if it waits for a person. */
export function patchAtOnce({ publish }: Pick<TaskSpec, "publish">): Exclude<PatchMode, "patch"> | null {
  return publish.includes("commit") ? "commit" : publish.includes("draft-pull-request") ? "draft-pull-request" : null;
}

/** A task with nothing but its name and model set. */
export function defaultTask(name: string, model: string): TaskSpec {
  return {
    name,
    model,
    effort: null,
    sandbox: "workspace-write",
    safetyStrategy: "unprivileged-user",
    outputSchema: null,
    workingDirectory: "",
    codexArgs: [],
    allowUsers: [],
    allowBots: false,
    allowBotUsers: [],
    publish: ["comment", "check"],
    timeoutMs: limits.runMsDefault,
  };
}
