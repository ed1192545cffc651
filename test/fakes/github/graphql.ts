/**
 * GitHub's GraphQL as far as Mayfly asks it: comments on lines are minimised, some at once, and asked whether they are.
 * Every other document is refused, as one that GitHub's schema does not have.
 */
import { fieldIn, stringIn } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import type { Route } from "./router.ts";
import { nodeId } from "./shapes.ts";
import { covers, holds } from "./tokens.ts";
import type { Repository, ReviewComment } from "./world.ts";

export const graphqlRoutes: readonly Route[] = [
  { method: "POST", path: "/graphql", auth: "installation", isUndescribed: true, handle: serveGraphql },
];

/** The enum ReportedContentClassifiers. */
const CLASSIFIERS = ["SPAM", "ABUSE", "OFF_TOPIC", "OUTDATED", "DUPLICATE", "RESOLVED", "LOW_QUALITY"];
const DOCUMENT = /^mutation\(((?:\$\w+: ID!(?:, )?)+)\) \{ (.+) \}$/;
const FIELD =
  /(\w+): minimizeComment\(input: \{ subjectId: \$(\w+), classifier: (\w+) \}\) \{ minimizedComment \{ isMinimized \} \} ?/y;

const NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on PullRequestReviewComment { id isMinimized } } }";
/** GitHub resolves no more nodes in one request. */
const NODES_MAX = 100;

interface Minimise {
  readonly alias: string;
  readonly variable: string;
  readonly classifier: string;
}

/** A fault of one field, as GraphQL has it beside the others' data. */
interface Fault {
  readonly type: string;
  readonly path: readonly (string | number)[];
  readonly message: string;
}

function serveGraphql(context: Context): Reply {
  const { body } = context;
  const query = stringIn(body, "query") ?? "";
  if (query === NODES) {
    return serveNodes(context);
  }
  const asked = fieldsOf(query);
  if (asked === null) {
    return { status: 200, body: { errors: [{ message: "Parse error or unknown field" }] } };
  }
  const variables = (fieldIn(body, "variables") ?? {}) as Readonly<Record<string, unknown>>;
  const missing = asked.find(({ variable }) => typeof variables[variable] !== "string");
  if (missing !== undefined) {
    const message = `Variable $${missing.variable} of type ID! was provided invalid value`;
    return { status: 200, body: { errors: [{ message }] } };
  }
  const faults: Fault[] = [];
  const data = asked.map(({ alias, variable, classifier }) => {
    const fault = minimise(context, String(variables[variable]), classifier);
    if (fault !== null) {
      faults.push({ ...fault, path: [alias] });
    }
    return [alias, fault === null ? { minimizedComment: { isMinimized: true } } : null] as const;
  });
  return { status: 200, body: { data: Object.fromEntries(data), ...(faults.length === 0 ? {} : { errors: faults }) } };
}

function serveNodes(context: Context): Reply {
  const ids: unknown = (fieldIn(context.body, "variables") as { ids?: unknown } | undefined)?.ids;
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === "string")) {
    const message = "Variable $ids of type [ID!]! was provided invalid value";
    return { status: 200, body: { errors: [{ message }] } };
  }
  if (ids.length > NODES_MAX) {
    const message = `You may not provide more than ${NODES_MAX} node ids; you provided ${ids.length}.`;
    return { status: 200, body: { data: null, errors: [{ type: "ARGUMENT_LIMIT", path: ["nodes"], message }] } };
  }
  const found = ids.map((id) => findComment(context, id, "pull_requests:read"));
  const faults = found.flatMap((one, index) => ("type" in one ? [{ ...one, path: ["nodes", index] }] : []));
  const nodes = found.map((one, index) =>
    "type" in one ? null : { id: ids[index] as string, isMinimized: one.minimizedReason !== null },
  );
  return { status: 200, body: { data: { nodes }, ...(faults.length === 0 ? {} : { errors: faults }) } };
}

/** Null for a document that is not served. Each alias and each variable is there once. */
function fieldsOf(query: string): Minimise[] | null {
  const [, declared = "", text = ""] = DOCUMENT.exec(query) ?? [];
  const names = [...declared.matchAll(/\$(\w+):/g)].map(([, name = ""]) => name);
  const fields: Minimise[] = [];
  FIELD.lastIndex = 0;
  for (let found = FIELD.exec(text), end = 0; found !== null; found = FIELD.exec(text)) {
    end = FIELD.lastIndex;
    const [, alias = "", variable = "", classifier = ""] = found;
    fields.push({ alias, variable, classifier });
    if (end === text.length) {
      break;
    }
  }
  const length = fields.length;
  const isWhole =
    length > 0 &&
    text.endsWith("}") &&
    fields.every(({ classifier }) => CLASSIFIERS.includes(classifier)) &&
    new Set(fields.map(({ alias }) => alias)).size === length &&
    names.length === length &&
    fields.every(({ variable }) => names.includes(variable));
  return isWhole ? fields : null;
}

function minimise(context: Context, id: string, classifier: string): Omit<Fault, "path"> | null {
  const found = findComment(context, id, "pull_requests:write");
  if ("type" in found) {
    return found;
  }
  found.minimizedReason = classifier.toLowerCase();
  return null;
}

function findComment({ world, token }: Context, id: string, needs: string): ReviewComment | Omit<Fault, "path"> {
  const found = [...world.repositories.values()]
    .flatMap(commentsOf)
    .find(({ comment }) => nodeId("PRRC", comment.id) === id);
  if (token === undefined || found === undefined || !covers(world, token, found.repository)) {
    return { type: "NOT_FOUND", message: `Could not resolve to a node with the global id of '${id}'` };
  }
  if (!holds(token, needs)) {
    return { type: "FORBIDDEN", message: "Resource not accessible by integration" };
  }
  return found.comment;
}

function commentsOf(repository: Repository): { repository: Repository; comment: ReviewComment }[] {
  return [...repository.pulls.values()].flatMap(({ reviews }) =>
    reviews.flatMap(({ comments }) => comments.map((comment) => ({ repository, comment }))),
  );
}
