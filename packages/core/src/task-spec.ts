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

/** What a task may put on GitHub. `commit` is a patch that nobody has to apply. */
export type Publish = "comment" | "check" | "review" | "patch" | "commit";

/** What a task gets only if it names it, and `patch` and `commit` only if the operator does too. */
export const namedPublications: readonly Publish[] = ["review", "patch", "commit"];

/** Whether what Codex changed is offered as a patch. */
export function offersPatch({ publish }: Pick<TaskSpec, "publish">): boolean {
  return publish.includes("patch") || publish.includes("commit");
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
