import {
  type DiffFile,
  type EndedRun,
  type LinkScope,
  parseReview,
  type PlacedReview,
  placeNowhere,
  placeReview,
  type PullRequestOrigin,
  renderReview,
  type Review,
  reviewMarker,
  type RunFacts,
} from "@mayfly/core";
import { type GitHubApp, type GitHubClient, MAKE_ONCE, statusOf } from "../github/app.ts";
import { placeOf } from "../github/pull-requests.ts";

const PAGE = 100;
/** GitHub lists at most 3,000 files of a pull request (REST: list pull requests files). */
const FILE_PAGES_MAX = 30;
/** Pages of reviews looked through for one of ours. */
const REVIEW_PAGES_MAX = 10;

/** A run's answer as a review, and where in the diff it goes. */
export interface ReadReview {
  readonly review: Review;
  readonly placed: PlacedReview;
}

/** The review as it stands on GitHub. */
export interface PublicReview {
  readonly url: string;
  readonly read: ReadReview;
}

/** True if a run's answer is to be put out as a review. */
export function wantsReview(run: EndedRun): boolean {
  return run.ending.outcome === "succeeded" && run.request.task.publish.includes("review");
}

/**
 * The answer as a review with every finding placed in the pull request's diff as it is now; null if it is none. Ask
 * afterwards whether the head is still the approved one: only then the diff was that one's.
 */
export async function readReview(
  app: GitHubApp,
  run: EndedRun,
  origin: PullRequestOrigin,
  { result }: RunFacts,
): Promise<ReadReview | null> {
  const said = result?.structured ?? result?.final_message;
  const review = wantsReview(run) && said?.state === "present" ? parseReview(said.text) : null;
  if (review === null) {
    return null;
  }
  const diff = await app.withClient("read", placeOf(origin), (client) => readDiff(client, origin));
  return { review, placed: placeReview(review, diff) };
}

/**
 * The run's one review is on the approved commit, with all its comments. It is found again by the run's marker, so it is
 * made once. If GitHub refuses its lines they are looked for in the diff anew, and then it is made without them. Idempotent.
 */
export async function ensureReview(options: {
  client: GitHubClient;
  slug: string;
  run: EndedRun;
  origin: PullRequestOrigin;
  read: ReadReview;
  scope: LinkScope;
}): Promise<PublicReview> {
  const { client, run, read, scope } = options;
  const { label } = options.origin;
  const known = await find(options);
  if (known !== null) {
    return { url: known, read };
  }
  const ways: readonly (() => Promise<PlacedReview>)[] = [
    async () => read.placed,
    // The base may have moved since the diff was read, and other lines are shown now.
    async () => placeReview(read.review, await readDiff(client, options.origin)),
  ];
  for (const place of ways) {
    const placed = await place();
    const url = await create(
      client,
      options.origin,
      renderReview({ id: run.id, label }, read.review, placed, scope),
    ).catch(refusedLines(placed));
    if (url !== null) {
      return { url, read: { ...read, placed } };
    }
  }
  const plain = { ...read, placed: placeNowhere(read.review) };
  const rendered = renderReview({ id: run.id, label }, plain.review, plain.placed, scope);
  return { url: await create(client, options.origin, rendered), read: plain };
}

/** Null where GitHub refuses lines, and does not say which. */
function refusedLines({ inline }: PlacedReview): (error: unknown) => null {
  return (error) => {
    if (statusOf(error) !== 422 || inline.length === 0) {
      throw error;
    }
    return null;
  };
}

async function create(
  client: GitHubClient,
  origin: PullRequestOrigin,
  { body, comments }: ReturnType<typeof renderReview>,
): Promise<string> {
  const { data } = await client.request("POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews", {
    ...whereOf(origin),
    commit_id: origin.head,
    // It never approves, and never asks for changes: both would count as a person's word.
    event: "COMMENT",
    body,
    comments: [...comments],
    request: MAKE_ONCE,
  });
  return data.html_url;
}

async function find(options: {
  client: GitHubClient;
  slug: string;
  run: EndedRun;
  origin: PullRequestOrigin;
}): Promise<string | null> {
  const { client, slug, run, origin } = options;
  for (let page = 1; page <= REVIEW_PAGES_MAX; page++) {
    const { data } = await client.request("GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews", {
      ...whereOf(origin),
      per_page: PAGE,
      page,
    });
    // Anybody may write our marker; only the App itself writes as its bot.
    const mine = data.find(({ user, body }) => user?.login === `${slug}[bot]` && body.startsWith(reviewMarker(run.id)));
    if (mine !== undefined) {
      return mine.html_url;
    }
    if (data.length < PAGE) {
      break;
    }
  }
  return null;
}

async function readDiff(client: GitHubClient, origin: PullRequestOrigin): Promise<DiffFile[]> {
  const files: DiffFile[] = [];
  for (let page = 1; page <= FILE_PAGES_MAX; page++) {
    const { data } = await client.request("GET /repos/{owner}/{repo}/pulls/{pull_number}/files", {
      ...whereOf(origin),
      per_page: PAGE,
      page,
    });
    files.push(...data.map(({ filename: path, patch = null }) => ({ path, patch })));
    if (data.length < PAGE) {
      break;
    }
  }
  return files;
}

function whereOf({ repository, number }: PullRequestOrigin): { owner: string; repo: string; pull_number: number } {
  return { owner: repository.owner, repo: repository.name, pull_number: number };
}
