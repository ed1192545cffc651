import type { CommentEvent } from "@mayfly/core";
import type { Logger } from "pino";
import { type GitHubApp, MAKE_ONCE } from "../github/app.ts";

/**
 * Shows at the comment that its command was seen: a run's check, or its end, takes a moment longer. Idempotent, since
 * GitHub keeps one reaction of a kind. Never throws: a command is obeyed without it.
 */
export async function showSeen(app: GitHubApp, event: CommentEvent, log?: Pick<Logger, "warn">): Promise<void> {
  const { installation, repository, comment } = event;
  try {
    await app.withClient("answer", { installation, repository }, (client) =>
      client.request("POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions", {
        owner: repository.owner,
        repo: repository.name,
        comment_id: comment.id,
        content: "eyes",
        request: MAKE_ONCE,
      }),
    );
  } catch (err) {
    log?.warn({ comment: comment.id, err }, "a command is obeyed, and its comment does not show that it was seen");
  }
}
