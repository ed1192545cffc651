/** The JSON of pull requests, their comments, reviews and check runs. */
import {
  associationOf,
  appIdentity,
  labelShape,
  nodeId,
  repositoryHtmlUrl,
  repositoryShape,
  repositoryUrl,
  userShape,
} from "./shapes.ts";
import type { Json } from "./shapes.ts";
import { isoTime } from "./world.ts";
import type { CheckRun, Comment, Pull, Reaction, Repository, Review, World } from "./world.ts";

/** What only the single pull request's endpoint and webhooks count. */
export interface PullSize {
  readonly commits: number;
  readonly additions: number;
  readonly deletions: number;
  readonly changedFiles: number;
}

/** A pull request as lists give it. */
export function pullShape(world: World, pull: Pull): Json {
  const { repository } = pull;
  const url = `${repositoryUrl(world, repository)}/pulls/${pull.number}`;
  const issueUrl = `${repositoryUrl(world, repository)}/issues/${pull.number}`;
  const html = pullHtmlUrl(world, pull);
  const statuses = `${repositoryUrl(world, repository)}/statuses/${pull.head.sha}`;
  const reviewComment = `${repositoryUrl(world, repository)}/pulls/comments{/number}`;
  const link = (href: string): Json => ({ href });
  return {
    url,
    id: pull.id,
    node_id: nodeId("PR", pull.id),
    html_url: html,
    diff_url: `${html}.diff`,
    patch_url: `${html}.patch`,
    issue_url: issueUrl,
    number: pull.number,
    state: pull.state,
    locked: false,
    active_lock_reason: null,
    title: pull.title,
    user: userShape(world, pull.author),
    body: pull.body,
    created_at: isoTime(pull.createdAt),
    updated_at: isoTime(pull.updatedAt),
    closed_at: pull.closedAt === null ? null : isoTime(pull.closedAt),
    merged_at: null,
    merge_commit_sha: null,
    assignee: null,
    assignees: [],
    requested_reviewers: [],
    requested_teams: [],
    labels: labelsOf(world, pull),
    milestone: null,
    draft: pull.draft,
    commits_url: `${url}/commits`,
    review_comments_url: `${url}/comments`,
    review_comment_url: reviewComment,
    comments_url: `${issueUrl}/comments`,
    statuses_url: statuses,
    head: sideShape(world, pull.headRepository, pull.head),
    base: sideShape(world, repository, pull.base),
    _links: {
      self: link(url),
      html: link(html),
      issue: link(issueUrl),
      comments: link(`${issueUrl}/comments`),
      review_comments: link(`${url}/comments`),
      review_comment: link(reviewComment),
      commits: link(`${url}/commits`),
      statuses: link(statuses),
    },
    author_association: associationOf(repository, pull.author),
    auto_merge: null,
  };
}

/** A pull request as its own endpoint and webhooks give it. */
export function fullPullShape(world: World, pull: Pull, size: PullSize): Json {
  const comments = [...pull.repository.comments.values()].filter(
    (comment) => comment.pullNumber === pull.number,
  ).length;
  return {
    ...pullShape(world, pull),
    merged: false,
    mergeable: null,
    rebaseable: null,
    mergeable_state: "unknown",
    merged_by: null,
    comments,
    review_comments: pull.reviews.reduce((sum, review) => sum + review.comments.length, 0),
    maintainer_can_modify: false,
    commits: size.commits,
    additions: size.additions,
    deletions: size.deletions,
    changed_files: size.changedFiles,
  };
}

/** A pull request seen as an issue. */
export function issueShape(world: World, pull: Pull): Json {
  const { repository } = pull;
  const url = `${repositoryUrl(world, repository)}/issues/${pull.number}`;
  const html = pullHtmlUrl(world, pull);
  return {
    url,
    repository_url: repositoryUrl(world, repository),
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    html_url: html,
    id: pull.issueId,
    node_id: nodeId("PR", pull.id),
    number: pull.number,
    title: pull.title,
    user: userShape(world, pull.author),
    labels: labelsOf(world, pull),
    state: pull.state,
    locked: false,
    active_lock_reason: null,
    assignee: null,
    assignees: [],
    milestone: null,
    comments: [...repository.comments.values()].filter((comment) => comment.pullNumber === pull.number).length,
    created_at: isoTime(pull.createdAt),
    updated_at: isoTime(pull.updatedAt),
    closed_at: pull.closedAt === null ? null : isoTime(pull.closedAt),
    author_association: associationOf(repository, pull.author),
    body: pull.body,
    reactions: reactionsShape(`${url}/reactions`),
    timeline_url: `${url}/timeline`,
    performed_via_github_app: null,
    state_reason: null,
    draft: pull.draft,
    pull_request: {
      url: `${repositoryUrl(world, repository)}/pulls/${pull.number}`,
      html_url: html,
      diff_url: `${html}.diff`,
      patch_url: `${html}.patch`,
      merged_at: null,
    },
  };
}

export function commentShape(world: World, repository: Repository, comment: Comment): Json {
  const url = `${repositoryUrl(world, repository)}/issues/comments/${comment.id}`;
  return {
    url,
    html_url: `${repositoryHtmlUrl(world, repository)}/pull/${comment.pullNumber}#issuecomment-${comment.id}`,
    issue_url: `${repositoryUrl(world, repository)}/issues/${comment.pullNumber}`,
    id: comment.id,
    node_id: nodeId("IC", comment.id),
    user: userShape(world, comment.author),
    created_at: isoTime(comment.createdAt),
    updated_at: isoTime(comment.updatedAt),
    body: comment.body,
    author_association: associationOf(repository, comment.author),
    reactions: reactionsShape(`${url}/reactions`, comment.reactions),
    performed_via_github_app: comment.viaApp ? appIdentity(world, world.app) : null,
  };
}

export function reactionShape(world: World, reaction: Reaction): Json {
  return {
    id: reaction.id,
    node_id: nodeId("REA", reaction.id),
    user: userShape(world, reaction.user),
    content: reaction.content,
    created_at: isoTime(reaction.createdAt),
  };
}

export function reviewShape(world: World, pull: Pull, review: Review): Json {
  const html = `${pullHtmlUrl(world, pull)}#pullrequestreview-${review.id}`;
  const pullUrl = `${repositoryUrl(world, pull.repository)}/pulls/${pull.number}`;
  return {
    id: review.id,
    node_id: nodeId("PRR", review.id),
    user: userShape(world, review.author),
    body: review.body,
    state: review.state,
    html_url: html,
    pull_request_url: pullUrl,
    _links: { html: { href: html }, pull_request: { href: pullUrl } },
    submitted_at: isoTime(review.submittedAt),
    commit_id: review.commitId,
    author_association: associationOf(pull.repository, review.author),
  };
}

export function checkRunShape(world: World, repository: Repository, run: CheckRun): Json {
  const url = `${repositoryUrl(world, repository)}/check-runs/${run.id}`;
  const html = `${repositoryHtmlUrl(world, repository)}/runs/${run.id}`;
  return {
    id: run.id,
    name: run.name,
    node_id: nodeId("CR", run.id),
    head_sha: run.headSha,
    external_id: run.externalId,
    url,
    html_url: html,
    details_url: run.detailsUrl ?? html,
    status: run.status,
    conclusion: run.conclusion,
    started_at: run.startedAt === null ? null : isoTime(run.startedAt),
    completed_at: run.completedAt === null ? null : isoTime(run.completedAt),
    output: {
      title: run.output.title,
      summary: run.output.summary,
      text: run.output.text,
      annotations_count: run.output.annotations.length,
      annotations_url: `${url}/annotations`,
    },
    check_suite: { id: run.suiteId },
    app: appIdentity(world, world.app),
    pull_requests: minimalPulls(world, repository, run.headSha),
  };
}

/** Pull requests of the same repository whose head is that commit; GitHub leaves out those of forks. */
export function minimalPulls(world: World, repository: Repository, sha: string): Json[] {
  const pulls = [...repository.pulls.values()].filter(
    (pull) => pull.head.sha === sha && pull.headRepository === repository,
  );
  const side = (at: { ref: string; sha: string }): Json => ({
    ref: at.ref,
    sha: at.sha,
    repo: { id: repository.id, url: repositoryUrl(world, repository), name: repository.name },
  });
  return pulls.map((pull) => ({
    id: pull.id,
    number: pull.number,
    url: `${repositoryUrl(world, repository)}/pulls/${pull.number}`,
    head: side(pull.head),
    base: side(pull.base),
  }));
}

export function pullHtmlUrl(world: World, pull: Pull): string {
  return `${repositoryHtmlUrl(world, pull.repository)}/pull/${pull.number}`;
}

function labelsOf(world: World, pull: Pull): Json[] {
  const labels = [...pull.labels].map((name) => pull.repository.labels.get(name.toLowerCase()));
  return labels.flatMap((label) => (label === undefined ? [] : [labelShape(world, pull.repository, label)]));
}

function sideShape(world: World, repository: Repository, side: { ref: string; sha: string }): Json {
  return {
    label: `${repository.owner.login}:${side.ref}`,
    ref: side.ref,
    sha: side.sha,
    user: userShape(world, repository.owner),
    repo: repository.isDeleted ? null : repositoryShape(world, repository),
  };
}

function reactionsShape(url: string, reactions: readonly Reaction[] = []): Json {
  const contents = ["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"];
  const counts = contents.map((content) => [content, reactions.filter((one) => one.content === content).length]);
  return { url, total_count: reactions.length, ...Object.fromEntries(counts) };
}
