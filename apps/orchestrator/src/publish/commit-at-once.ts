import type { Run } from "@mayfly/core";
import type { DecidePatch } from "./decide-patch.ts";

/**
 * Puts the patch of a run whose task commits by itself on the branch, in the name of whoever asked for the run: whether they
 * may is asked at this moment, as if they had pressed the button. Otherwise the patch waits, and the check says why. Does
 * nothing for other tasks, and never pushes to forks. Idempotent. Throws GITHUB_UNAVAILABLE.
 */
export async function commitAtOnce(decidePatch: DecidePatch, run: Run): Promise<void> {
  const { origin, task } = run.request;
  if (run.phase !== "done" || origin.kind === "local" || origin.fork || !task.publish.includes("commit")) {
    return;
  }
  const { checkRunId } = run.publication;
  if (run.ending.outcome === "succeeded" && checkRunId !== null) {
    const { installation, repository, actor } = origin;
    const where = { installation, repositoryId: repository.id, checkRunId, externalId: run.id };
    await decidePatch({ ...where, kind: "apply", actor, isAtOnce: true });
  }
}
