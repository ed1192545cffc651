import { type EndedRun, limits, type PullRequestOrigin, runOfFinding } from "@mayfly/core";
import type { GitHubClient } from "../github/app.ts";

const PAGE = 100;
/** Comments folded by one request. */
const AT_ONCE = 50;

/**
 * Folds the comments on lines that earlier runs of this task made on the pull request, as outdated: the newer review says
 * what holds now. A comment counts if our own bot wrote it and it begins with an earlier run's marker of this task; what
 * people answered below it stays. Idempotent. Bound: limits.findingsReadMax, limits.findingsFoldedMax. Returns how many.
 */
export async function foldEarlierFindings(options: {
  readonly client: GitHubClient;
  readonly slug: string;
  readonly run: EndedRun;
  readonly origin: PullRequestOrigin;
}): Promise<number> {
  const earlier = (await listEarlier(options)).slice(-limits.findingsFoldedMax);
  for (let at = 0; at < earlier.length; at += AT_ONCE) {
    await fold(options.client, earlier.slice(at, at + AT_ONCE));
  }
  return earlier.length;
}

/** The node ids of their comments, the oldest first. */
async function listEarlier({
  client,
  slug,
  run,
  origin,
}: Parameters<typeof foldEarlierFindings>[0]): Promise<string[]> {
  const found: string[] = [];
  for (let page = 1; page <= limits.findingsReadMax / PAGE; page++) {
    const { data } = await client.request("GET /repos/{owner}/{repo}/pulls/{pull_number}/comments", {
      owner: origin.repository.owner,
      repo: origin.repository.name,
      pull_number: origin.number,
      per_page: PAGE,
      page,
    });
    for (const { user, body, node_id: id } of data) {
      // Anybody may write our marker; only the App itself writes as its bot.
      const of = user?.login === `${slug}[bot]` ? runOfFinding(body, origin.label) : null;
      // Ids of runs are in the order of their time: one that is published late folds nothing newer.
      if (of !== null && of < run.id) {
        found.push(id);
      }
    }
    if (data.length < PAGE) {
      break;
    }
  }
  return found;
}

/** Folding what is folded changes nothing. REST cannot fold, and `resolveReviewThread` would need contents: write. */
async function fold(client: GitHubClient, ids: readonly string[]): Promise<void> {
  const variables = Object.fromEntries(ids.map((id, index) => [`c${index}`, id]));
  const declared = ids.map((_id, index) => `$c${index}: ID!`).join(", ");
  const fields = ids.map(
    (_id, index) =>
      `c${index}: minimizeComment(input: { subjectId: $c${index}, classifier: OUTDATED }) { minimizedComment { isMinimized } }`,
  );
  await client.graphql(`mutation(${declared}) { ${fields.join(" ")} }`, variables);
}
