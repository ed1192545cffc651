import type { PullRequestOrigin } from "@mayfly/core";
import { type GitHubClient, statusOf } from "../github/app.ts";

/** The label is off, so that asking again is adding it again. Idempotent. */
export async function ensureLabelRemoved(client: GitHubClient, origin: PullRequestOrigin): Promise<void> {
  try {
    await client.request("DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}", {
      owner: origin.repository.owner,
      repo: origin.repository.name,
      issue_number: origin.number,
      name: origin.label,
    });
  } catch (error) {
    if (statusOf(error) !== 404) {
      throw error;
    }
  }
}
