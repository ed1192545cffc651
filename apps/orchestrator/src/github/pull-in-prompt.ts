import { limits, type PromptPullRequest, type Repository, type WebhookPullRequest } from "@mayfly/core";
import type { Reading } from "./pull-requests.ts";

/** What a prompt tells of a pull request. */
export interface PullInPrompt {
  readonly pullRequest: PromptPullRequest;
  /** AGENTS.md as the base commit has it; null if it has none. */
  readonly agentsFile: string | null;
  readonly agentsFileChanged: boolean;
}

/** In any folder: Codex would read those of the folders it works in. */
const AGENTS_FILE = /(?:^|\/)AGENTS(?:\.override)?\.md$/i;

/** Reads what a prompt tells of this pull request as it is now. Throws GITHUB_UNAVAILABLE, GITHUB_REFUSED. */
export async function readPullInPrompt(
  reading: Pick<Reading, "file" | "commits">,
  { owner, name }: Pick<Repository, "owner" | "name">,
  pull: WebhookPullRequest,
): Promise<PullInPrompt> {
  const { number, labels, size, title, body, author } = pull;
  const [head, base] = [pull.head.sha, pull.base.sha];
  const [agentsFile, { mergeBase, files }] = await Promise.all([
    reading.file("AGENTS.md", base, limits.agentsFileBytesMax),
    reading.commits({ base, head }),
  ]);
  return {
    pullRequest: {
      number,
      labels,
      size,
      title,
      body,
      author,
      files,
      head,
      base,
      mergeBase,
      repository: `${owner}/${name}`,
      headRef: pull.head.ref,
      baseRef: pull.base.ref,
    },
    agentsFile,
    agentsFileChanged: files.some(({ path, before }) => AGENTS_FILE.test(path) || AGENTS_FILE.test(before ?? "")),
  };
}
