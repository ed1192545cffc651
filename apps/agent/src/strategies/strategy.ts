import type { SafetyStrategy, Sandbox } from "@mayfly/core/protocol";
import type { MachineUser } from "../confinement.ts";

/** How Codex is kept in the machine. The start gate proves what a strategy promises, before any key is asked for. */
export interface Strategy {
  readonly name: SafetyStrategy;
  /** Who Codex is, and everything else that touches what Codex may write. */
  readonly user: MachineUser;
  /** The CLI's own sandbox, given what the task asks for. */
  sandbox(asked: Sandbox): Sandbox;
  /** What a reader of the run should know about it, or null. */
  readonly note: string | null;
}
