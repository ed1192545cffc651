import { createHash } from "node:crypto";
import {
  type DiffFile,
  type EndedRun,
  limits,
  type LinkScope,
  type PatchCheck,
  type ReviewWords,
  suggestPatch,
  matchFindings,
  parseReview,
  type PlacedFinding,
  type PlacedReview,
  placeOpen,
  placeReview,
  placeWithout,
  type PullRequestOrigin,
  renderReview,
  type Review,
  reviewMarker,
  type RunFacts,
  structuredMisfit,
} from "@mayfly/core";
import { type GitHubApp, type GitHubClient, MAKE_ONCE, statusOf } from "../github/app.ts";
import { placeOf } from "../github/pull-requests.ts";
import type { StandingFinding, StandingFindings } from "./fold-findings.ts";

const PAGE = 100;
/** GitHub lists at most 3,000 files of a pull request (REST: list pull requests files). */
const FILE_PAGES_MAX = 30;
/** Pages of reviews looked through for one of ours. */
const REVIEW_PAGES_MAX = 10;

/** A run's answer as a review, or its patch as one, and where in the diff it goes. */
export interface ReadReview<Words extends ReviewWords = ReviewWords> {
  readonly review: Words;
  readonly placed: PlacedReview;
}

/** The review as it stands on GitHub. */
export interface PublicReview<Words extends ReviewWords = ReviewWords> {
  readonly url: string;
  readonly read: ReadReview<Words>;
  /** Comments of earlier runs that say what this review would. */
  readonly kept: readonly StandingFinding[];
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
): Promise<ReadReview<Review> | null> {
  const said = result?.structured ?? result?.final_message;
  const review = wantsReview(run) && said?.state === "present" ? parseReview(said.text) : null;
  if (review === null || structuredMisfit(run.request.task.outputSchema, said) !== null) {
    return null;
  }
  const diff = await app.withClient("read", placeOf(origin), (client) => readDiff(client, origin));
  return { review, placed: placeReview(review, diff) };
}

/**
 * The patch of a fork's run as suggestions, placed as above; null where none of it is on a line that the diff shows, and
 * where the patch can go to the branch itself.
 */
export async function readSuggestions(
  app: GitHubApp,
  origin: PullRequestOrigin,
  patch: PatchCheck | null,
): Promise<ReadReview | null> {
  const review = origin.fork && patch?.ok === true ? suggestPatch(patch.files) : null;
  if (review === null || review.findings.length === 0) {
    return null;
  }
  const diff = await app.withClient("read", placeOf(origin), (client) => readDiff(client, origin));
  const placed = placeReview(review, diff);
  return placed.inline.length === 0 ? null : { review, placed };
}

interface Ensure<Words extends ReviewWords> {
  client: GitHubClient;
  slug: string;
  run: EndedRun;
  origin: PullRequestOrigin;
  read: ReadReview<Words>;
  /** This task's comments that are there; null if that could not be read. */
  standing: StandingFindings | null;
  scope: LinkScope;
}

/**
 * The run's one review is on the approved commit, with all its comments but those that an earlier run's comment still
 * makes. It is found again by the run's marker, so it is made once. If GitHub refuses its lines they are looked for in the
 * diff anew, and then it is made without those refused. Idempotent. Bound: limits.reviewTriesMax.
 */
export async function ensureReview<Words extends ReviewWords>(options: Ensure<Words>): Promise<PublicReview<Words>> {
  const { read, standing } = options;
  const known = await find(options);
  if (known === null) {
    return makeReview(options);
  }
  if (standing === null) {
    return { url: known, read, kept: [] };
  }
  // It was made before a crash: what its comments are says what became of each finding.
  const { inline } = read.placed;
  const own = matchFindings(inline, standing.own, hashOf);
  const { placed, kept } = withoutOpen({ ...read.placed, inline: inline.filter((one) => !own.has(one)) }, standing);
  const told = placeWithout(placed, placed.inline);
  return { url: known, read: { ...read, placed: { ...told, inline: inline.filter((one) => own.has(one)) } }, kept };
}

async function makeReview<Words extends ReviewWords>(options: Ensure<Words>): Promise<PublicReview<Words>> {
  const { client, origin, read } = options;
  const first = await tryReview(options, read.placed);
  if (first !== null) {
    return first;
  }
  // The base may have moved since the diff was read, and other lines are shown now.
  const fresh = placeReview(read.review, await readDiff(client, origin));
  const { inline } = withoutOpen(fresh, options.standing).placed;
  for (const refused of [[], ...suspectsOf(inline)]) {
    const made = await tryReview(options, placeWithout(fresh, refused));
    if (made !== null) {
      return made;
    }
  }
  const made = await tryReview(options, placeWithout(fresh, inline));
  if (made === null) {
    throw new Error("a review without comments on lines was refused for its lines");
  }
  return made;
}

/**
 * GitHub does not say which line it refuses, and what it takes is published: so one finding at a time is left out, and then
 * all of a file. Leaving out every one comes after that.
 */
function suspectsOf(inline: readonly PlacedFinding[]): readonly (readonly PlacedFinding[])[] {
  const files = Object.values(Object.groupBy(inline, ({ finding }) => finding.path)).filter(
    (some) => some !== undefined,
  );
  return [...inline.map((one) => [one]), ...files.filter((some) => some.length > 1)]
    .filter((some) => some.length < inline.length)
    .slice(0, limits.reviewTriesMax);
}

/** Null where GitHub refuses lines. */
async function tryReview<Words extends ReviewWords>(
  options: Ensure<Words>,
  wanted: PlacedReview,
): Promise<PublicReview<Words> | null> {
  const { client, run, origin, read, standing, scope } = options;
  const { placed, kept } = withoutOpen(wanted, standing);
  const rendered = renderReview({ id: run.id, label: origin.label, hashOf }, read.review, placed, scope);
  try {
    return { url: await create(client, origin, rendered), read: { ...read, placed }, kept };
  } catch (error) {
    if (statusOf(error) !== 422 || placed.inline.length === 0) {
      throw error;
    }
    return null;
  }
}

/** What an earlier run's comment still says on its line is not said again, and that comment stays. */
function withoutOpen(
  placed: PlacedReview,
  standing: StandingFindings | null,
): { placed: PlacedReview; kept: StandingFinding[] } {
  const current = standing?.earlier.filter(({ line }) => line !== null) ?? [];
  const open = matchFindings(placed.inline, current, hashOf);
  return { placed: placeOpen(placed, open), kept: [...open.values()] };
}

/** 128 bits: nobody else's finding has the same by chance. */
function hashOf(identity: string): string {
  return createHash("sha256").update(identity).digest("hex").slice(0, 32);
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
