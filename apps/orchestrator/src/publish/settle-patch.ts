import { patchAtOnce, type Run } from "@mayfly/core";
import type { DecidePatch } from "./decide-patch.ts";

/**
 * Does with the patch of an ended run what its task does by itself: puts it on the branch, or opens a draft pull request, in
 * the name of whoever asked for the run. Whether they may is asked at this moment, as if they had pressed the button.
 * Otherwise the patch waits, and the check says why. Does nothing for other tasks, and never pushes to forks. Idempotent.
 * Throws GITHUB_UNAVAILABLE.
 */
export async function settlePatch(decidePatch: DecidePatch, run: Run): Promise<void> {
  const { origin, task } = run.request;
  const by = patchAtOnce(task);
  if (run.phase !== "done" || origin.kind === "local" || origin.fork || by === null) {
    return;
  }
  const { checkRunId } = run.publication;
  if (run.ending.outcome === "succeeded" && checkRunId !== null) {
    const { installation, repository, actor } = origin;
    const where = { installation, repositoryId: repository.id, checkRunId, externalId: run.id };
    await decidePatch({ ...where, kind: "apply", actor, by });
  }
}
