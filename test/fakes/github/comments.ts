/** Comments on pull requests. */
import { emitComment, touch } from "./events.ts";
import { invalid, notFound, page, stringIn } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import { findPull } from "./pull-requests.ts";
import { commentShape, reactionShape } from "./pull-shapes.ts";
import type { Route } from "./router.ts";
import { appBot } from "./world.ts";
import type { Comment, Pull, User, World } from "./world.ts";

/** GitHub counts characters; counting UTF-16 units is never laxer. */
const BODY_CHARACTERS_MAX = 65_536;
const READ = ["issues:read", "pull_requests:read"];
const WRITE = ["issues:write", "pull_requests:write"];
const ON_PULL = "/repos/{owner}/{repo}/issues/{issue_number}/comments";
const ONE = "/repos/{owner}/{repo}/issues/comments/{comment_id}";

export const commentRoutes: readonly Route[] = [
  { method: "GET", path: ON_PULL, auth: "installation", needs: READ, handle: listComments },
  { method: "POST", path: ON_PULL, auth: "installation", needs: WRITE, handle: createComment },
  { method: "GET", path: ONE, auth: "installation", needs: READ, handle: showComment },
  { method: "PATCH", path: ONE, auth: "installation", needs: WRITE, handle: updateComment },
  { method: "DELETE", path: ONE, auth: "installation", needs: WRITE, handle: deleteComment },
  { method: "POST", path: `${ONE}/reactions`, auth: "installation", needs: WRITE, handle: createReaction },
];

/** Writes a comment and sends the event. */
export function addComment(world: World, pull: Pull, comment: { body: string; by: User; viaApp: boolean }): Comment {
  // The pull request's stamp: nobody comments before what was done to it last.
  touch(world, pull);
  const now = pull.updatedAt;
  const added: Comment = {
    id: world.nextId(),
    pullNumber: pull.number,
    body: comment.body,
    author: comment.by,
    createdAt: now,
    updatedAt: now,
    viaApp: comment.viaApp,
    reactions: [],
  };
  pull.repository.comments.set(added.id, added);
  emitComment(world, { action: "created", pull, comment: added, sender: comment.by });
  return added;
}

/** Throws 422 for a body that is blank or too long. */
export function requireBody(resource: string, body: string | undefined): string {
  if (body === undefined || body.trim() === "") {
    throw invalid(resource, "body", "body can't be blank");
  }
  if (body.length > BODY_CHARACTERS_MAX) {
    throw invalid(resource, "body", `body is too long (maximum is ${BODY_CHARACTERS_MAX} characters)`);
  }
  return body;
}

function listComments(context: Context): Reply {
  const pull = findPull(context);
  const since = Date.parse(context.query.get("since") ?? "") || 0;
  const found = [...context.repository.comments.values()].filter(
    (comment) => comment.pullNumber === pull.number && comment.updatedAt >= since,
  );
  const { items, headers } = page(context, found);
  return {
    status: 200,
    headers,
    body: items.map((comment) => commentShape(context.world, context.repository, comment)),
  };
}

function createComment(context: Context): Reply {
  const { world, repository } = context;
  const pull = findPull(context);
  const body = requireBody("IssueComment", stringIn(context.body, "body"));
  const comment = addComment(world, pull, { body, by: appBot(world), viaApp: true });
  const shape = commentShape(world, repository, comment);
  return { status: 201, headers: { location: String(shape.url) }, body: shape };
}

function showComment(context: Context): Reply {
  return { status: 200, body: commentShape(context.world, context.repository, find(context)) };
}

function updateComment(context: Context): Reply {
  const { world, repository } = context;
  const comment = find(context);
  const from = comment.body;
  comment.body = requireBody("IssueComment", stringIn(context.body, "body"));
  touch(world, comment);
  const pull = pullOf(context, comment);
  emitComment(world, { action: "edited", pull, comment, sender: appBot(world), more: { changes: { body: { from } } } });
  return { status: 200, body: commentShape(world, repository, comment) };
}

function deleteComment(context: Context): Reply {
  const comment = find(context);
  context.repository.comments.delete(comment.id);
  emitComment(context.world, {
    action: "deleted",
    pull: pullOf(context, comment),
    comment,
    sender: appBot(context.world),
  });
  return { status: 204 };
}

/** 200 and the same one for a reaction that is there already. The request's `content` was checked by the description. */
function createReaction(context: Context): Reply {
  const { world } = context;
  const comment = find(context);
  const content = stringIn(context.body, "content") ?? "";
  const user = appBot(world);
  const before = comment.reactions.find((one) => one.content === content && one.user.id === user.id);
  const reaction = before ?? { id: world.nextId(), content, user, createdAt: world.now() };
  if (before === undefined) {
    comment.reactions.push(reaction);
  }
  return { status: before === undefined ? 201 : 200, body: reactionShape(world, reaction) };
}

function find({ repository, params }: Context): Comment {
  const comment = repository.comments.get(Number(params.comment_id));
  if (comment === undefined) {
    throw notFound();
  }
  return comment;
}

function pullOf({ repository }: Context, comment: Comment): Pull {
  const pull = repository.pulls.get(comment.pullNumber);
  if (pull === undefined) {
    throw notFound();
  }
  return pull;
}
