import type { Run } from "../run.ts";

/** What everybody is told who looks at a run of the strategy `unsafe`. */
export const asRootText = "Codex ran as root in its machine (`unsafe`).";

/**
 * Whether Codex was root in the run's last machine. Asked of what the broker did, not of what the machine said: from its
 * start on, Codex as root could keep the machine from saying that it had started, and it cannot start without a key.
 */
export function ranAsRoot({ request, times }: Run): boolean {
  return request.task.safetyStrategy === "unsafe" && times.key_lent !== undefined;
}
