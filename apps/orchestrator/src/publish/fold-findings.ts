import { type EndedRun, type FindingComment, limits, type PullRequestOrigin, readFindingMarker } from "@mayfly/core";
import type { GitHubClient } from "../github/app.ts";

const PAGE = 100;
/** Comments folded by one request. */
const AT_ONCE = 50;

/** A comment on a line that a run of this task made, as it is on GitHub. */
export interface StandingFinding extends FindingComment {
  /** GraphQL's. */
  readonly id: string;
}

/** This task's comments on lines of the pull request. */
export interface StandingFindings {
  /** This run's own: there are some if its review was made before a crash. */
  readonly own: readonly StandingFinding[];
  /** Those of earlier runs that nobody has folded, the newest first; none once a newer run has published. */
  readonly earlier: readonly StandingFinding[];
}

/**
 * Reads which comments on lines this task has on the pull request. A comment counts if our own bot wrote it, not as an
 * answer to another, and it begins with a marker of this task. Bound: limits.findingsReadMax, limits.findingsFoldedMax.
 */
export async function readFindings(options: {
  readonly client: GitHubClient;
  readonly slug: string;
  readonly run: EndedRun;
  readonly origin: PullRequestOrigin;
}): Promise<StandingFindings> {
  const { client, run } = options;
  const all = await listOurs(options);
  // Ids of runs are in the order of their time: one that is published late must not fold what a newer one holds open.
  const isNewest = all.every((one) => one.run <= run.id);
  const earlier = isNewest ? all.filter((one) => one.run < run.id).slice(0, limits.findingsFoldedMax) : [];
  const folded = await readFolded(
    client,
    earlier.map(({ id }) => id),
  );
  return { own: all.filter((one) => one.run === run.id), earlier: earlier.filter(({ id }) => !folded.has(id)) };
}

/**
 * Folds comments as outdated; what people answered below them stays. Idempotent. One that cannot be folded holds up no
 * other; then it throws at the end.
 */
export async function foldFindings(client: GitHubClient, findings: readonly StandingFinding[]): Promise<void> {
  const faults: unknown[] = [];
  for (let at = 0; at < findings.length; at += AT_ONCE) {
    const ids = findings.slice(at, at + AT_ONCE).map(({ id }) => id);
    await fold(client, ids).catch((error: unknown) => void faults.push(error));
  }
  if (faults.length > 0) {
    throw faults[0];
  }
}

/** The newest first. */
async function listOurs({
  client,
  slug,
  origin,
}: Parameters<typeof readFindings>[0]): Promise<(StandingFinding & { readonly run: string })[]> {
  const found: (StandingFinding & { readonly run: string })[] = [];
  for (let page = 1; page <= limits.findingsReadMax / PAGE; page++) {
    const { data } = await client.request("GET /repos/{owner}/{repo}/pulls/{pull_number}/comments", {
      owner: origin.repository.owner,
      repo: origin.repository.name,
      pull_number: origin.number,
      // On a long pull request ours are among the last.
      sort: "created",
      direction: "desc",
      per_page: PAGE,
      page,
    });
    for (const { user, body, node_id: id, in_reply_to_id: above, line = null } of data) {
      // Anybody may write our marker; only the App itself writes as its bot.
      const isOurs = user?.login === `${slug}[bot]` && above === undefined;
      const marker = isOurs ? readFindingMarker(body, origin.label) : null;
      if (marker !== null) {
        found.push({ id, ...marker, line });
      }
    }
    if (data.length < PAGE) {
      break;
    }
  }
  return found;
}

/** Which of them are folded, by whomever. REST does not say. */
async function readFolded(client: GitHubClient, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) {
    return new Set();
  }
  const { nodes } = await client.graphql<{ nodes: readonly ({ id?: string; isMinimized?: boolean } | null)[] }>(
    "query($ids: [ID!]!) { nodes(ids: $ids) { ... on PullRequestReviewComment { id isMinimized } } }",
    { ids },
  );
  return new Set(nodes.flatMap((node) => (node?.isMinimized === true && node.id !== undefined ? [node.id] : [])));
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
