/** Reviews of pull requests and their comments on lines. */
import { requireBody } from "./comments.ts";
import { touch } from "./events.ts";
import { changesBetween, mergeBase } from "./git-history.ts";
import { resolveCommit } from "./git-store.ts";
import { fieldIn, GitHubRefusal, page, stringIn } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import { findPull } from "./pull-requests.ts";
import { pullHtmlUrl, reviewShape } from "./pull-shapes.ts";
import type { Route } from "./router.ts";
import { associationOf, nodeId, repositoryUrl, userShape } from "./shapes.ts";
import type { Json } from "./shapes.ts";
import { appBot, isoTime } from "./world.ts";
import type { Pull, Review, ReviewComment, World } from "./world.ts";

const READ = ["pull_requests:read"];
const ONE = "/repos/{owner}/{repo}/pulls/{pull_number}";
const STATES = { APPROVE: "APPROVED", REQUEST_CHANGES: "CHANGES_REQUESTED", COMMENT: "COMMENTED" } as const;

export const reviewRoutes: readonly Route[] = [
  { method: "GET", path: `${ONE}/reviews`, auth: "installation", needs: READ, handle: listReviews },
  {
    method: "POST",
    path: `${ONE}/reviews`,
    auth: "installation",
    needs: ["pull_requests:write"],
    handle: createReview,
  },
  { method: "GET", path: `${ONE}/comments`, auth: "installation", needs: READ, handle: listReviewComments },
];

interface AskedComment {
  readonly path: string;
  readonly body: string;
  readonly position?: number;
  readonly line?: number;
  readonly side?: string;
  readonly start_line?: number;
  readonly start_side?: string;
}

function listReviews(context: Context): Reply {
  const pull = findPull(context);
  const { items, headers } = page(context, pull.reviews);
  return { status: 200, headers, body: items.map((review) => reviewShape(context.world, pull, review)) };
}

async function createReview(context: Context): Promise<Reply> {
  const { world, repository, body } = context;
  const pull = findPull(context);
  const event = stringIn(body, "event") as keyof typeof STATES | undefined;
  const text = stringIn(body, "body") ?? "";
  const asked = (fieldIn(body, "comments") ?? []) as readonly AskedComment[];
  const author = appBot(world);
  if (event !== undefined && event !== "COMMENT" && author.id === pull.author.id) {
    throw unprocessable(`Can not ${event === "APPROVE" ? "approve" : "request changes on"} your own pull request`);
  }
  if (text !== "") {
    requireBody("PullRequestReview", text);
  }
  if (text === "" && (event === "REQUEST_CHANGES" || (event === "COMMENT" && asked.length === 0))) {
    throw unprocessable("Body is required for this event");
  }
  const commitId = stringIn(body, "commit_id") ?? pull.head.sha;
  if ((await resolveCommit(repository.directory, commitId)) !== commitId) {
    throw unprocessable("Commit is not part of the pull request");
  }
  await requireLinesInDiff(pull, commitId, asked);
  const review: Review = {
    id: world.nextId(),
    body: text,
    state: event === undefined ? "PENDING" : STATES[event],
    commitId,
    author,
    submittedAt: world.now(),
    comments: asked.map((comment) => ({
      id: world.nextId(),
      path: comment.path,
      body: requireBody("PullRequestReviewComment", comment.body),
      line: comment.line ?? null,
      side: comment.side ?? "RIGHT",
      startLine: comment.start_line ?? null,
      minimizedReason: null,
    })),
  };
  pull.reviews.push(review);
  touch(world, pull);
  return { status: 200, body: reviewShape(world, pull, review) };
}

async function listReviewComments(context: Context): Promise<Reply> {
  const { world, query } = context;
  const pull = findPull(context);
  const found = pull.reviews.flatMap((review) => review.comments.map((comment) => ({ review, comment })));
  // GitHub takes the direction only beside an order.
  const isDescending = query.has("sort") && query.get("direction") === "desc";
  const { items, headers } = page(context, isDescending ? found.toReversed() : found);
  const lineNow = await linesNow(
    pull,
    items.map(({ review }) => review.commitId),
  );
  const body = items.map(({ review, comment }) => ({
    ...commentOnLineShape(world, pull, review, comment),
    line: lineNow(review, comment),
  }));
  return { status: 200, headers, body };
}

/** Where a comment's line is at the present head; null when it is outdated: changed since, or in no hunk any more. */
async function linesNow(
  pull: Pull,
  commits: readonly string[],
): Promise<(review: Review, comment: ReviewComment) => number | null> {
  const { directory } = pull.repository;
  const base = await mergeBase(directory, pull.base.sha, pull.head.sha);
  const shown = await changesBetween(directory, base, pull.head.sha);
  const since = new Map<string, typeof shown>();
  for (const commit of new Set(commits)) {
    since.set(commit, await changesBetween(directory, commit, pull.head.sha));
  }
  const patchIn = (changes: typeof shown | undefined, path: string) =>
    changes?.find((change) => change.path === path)?.patch ?? "";
  return ({ commitId }, { path, line, side }) => {
    const patch = side === "LEFT" ? "" : patchIn(since.get(commitId), path);
    const now = line === null ? null : movedBy(patch, line);
    return now !== null && linesOf(patchIn(shown, path), side).has(now) ? now : null;
  };
}

/** A line's number after a patch; null if the patch takes it away. */
function movedBy(patch: string, line: number): number | null {
  let before = 1;
  let after = 1;
  for (const text of patch.split("\n")) {
    const [, left, right] = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(text) ?? [];
    if (left !== undefined) {
      if (line < Number(left)) {
        break;
      }
      before = Number(left);
      after = Number(right);
    } else if (text.startsWith("-")) {
      if (before === line) {
        return null;
      }
      before += 1;
    } else if (text.startsWith("+")) {
      after += 1;
    } else if (text.startsWith(" ")) {
      if (before === line) {
        return after;
      }
      before += 1;
      after += 1;
    }
  }
  return line + after - before;
}

async function requireLinesInDiff(pull: Pull, commitId: string, comments: readonly AskedComment[]): Promise<void> {
  if (comments.length === 0) {
    return;
  }
  const { directory } = pull.repository;
  const changes = await changesBetween(directory, await mergeBase(directory, pull.base.sha, commitId), commitId);
  for (const comment of comments) {
    const change = changes.find((candidate) => candidate.path === comment.path);
    // A name that is not UTF-8 cannot be said in JSON, so no path names it.
    if (change === undefined || comment.path.includes("\uFFFD")) {
      throw unprocessable("Path could not be resolved");
    }
    const lines = linesOf(change.patch ?? "", comment.side ?? "RIGHT");
    const wanted = [comment.line, comment.start_line].filter((line) => line !== undefined);
    if (comment.position === undefined && comment.line === undefined) {
      throw unprocessable("Position or line is missing");
    }
    if (wanted.some((line) => !lines.has(line) || pull.unresolvable.has(`${comment.path}:${line}`))) {
      throw unprocessable("Line could not be resolved");
    }
    const [last = 0, first] = wanted;
    if (comment.line !== undefined && first !== undefined) {
      requireRange(comment, { first, last, isOneHunk: lines.get(first) === lines.get(last) });
    }
  }
}

function requireRange(
  comment: AskedComment,
  { first, last, isOneHunk }: { first: number; last: number; isOneHunk: boolean },
): void {
  if ((comment.start_side ?? comment.side) !== comment.side) {
    throw unprocessable("ranges over two sides are not served here");
  }
  if (first >= last) {
    throw unprocessable("Start line must precede the end line");
  }
  if (!isOneHunk) {
    throw unprocessable("Start line must be part of the same hunk as the line");
  }
}

/** The line numbers that a patch shows on one side, each with the number of its hunk. */
function linesOf(patch: string, side: string): Map<number, number> {
  const shown = new Map<number, number>();
  let hunks = 0;
  const own = side === "LEFT" ? "-" : "+";
  let line = 0;
  for (const text of patch.split("\n")) {
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(text);
    if (hunk !== null) {
      line = Number(side === "LEFT" ? hunk[1] : hunk[2]);
      hunks += 1;
      continue;
    }
    if (!text.startsWith(own) && !text.startsWith(" ")) {
      continue;
    }
    shown.set(line, hunks);
    line += 1;
  }
  return shown;
}

function commentOnLineShape(world: World, pull: Pull, review: Review, comment: ReviewComment): Json {
  const url = `${repositoryUrl(world, pull.repository)}/pulls/comments/${comment.id}`;
  const html = `${pullHtmlUrl(world, pull)}#discussion_r${comment.id}`;
  const pullUrl = `${repositoryUrl(world, pull.repository)}/pulls/${pull.number}`;
  return {
    url,
    pull_request_review_id: review.id,
    id: comment.id,
    node_id: nodeId("PRRC", comment.id),
    diff_hunk: "",
    path: comment.path,
    commit_id: review.commitId,
    original_commit_id: review.commitId,
    user: userShape(world, review.author),
    body: comment.body,
    created_at: isoTime(review.submittedAt),
    updated_at: isoTime(review.submittedAt),
    html_url: html,
    pull_request_url: pullUrl,
    author_association: associationOf(pull.repository, review.author),
    _links: { self: { href: url }, html: { href: html }, pull_request: { href: pullUrl } },
    start_line: comment.startLine,
    original_line: comment.line ?? 1,
    side: comment.side,
  };
}

function unprocessable(message: string): GitHubRefusal {
  return new GitHubRefusal(422, "Unprocessable Entity", { errors: [message] });
}
