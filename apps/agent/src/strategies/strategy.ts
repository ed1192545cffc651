import type { SafetyStrategy, Sandbox } from "@mayfly/core/protocol";

/** How Codex is kept in the machine. All of them stand on the same confinement, which the start gate proves. */
export interface Strategy {
  readonly name: SafetyStrategy;
  /** The CLI's own sandbox, given what the task asks for. */
  sandbox(asked: Sandbox): Sandbox;
  /** What a reader of the run should know about it, or null. */
  readonly note: string | null;
}
