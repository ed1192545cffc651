import { afterAll, beforeAll, expect, it } from "vitest";
import type { FakeGitHub } from "./server.ts";
import { nodeId } from "./shapes.ts";
import { call, mint, REPO, startWithPull } from "./testing.ts";
import type { PullView } from "./views.ts";

const MINIMISE =
  "mutation($c0: ID!) { c0: minimizeComment(input: { subjectId: $c0, classifier: OUTDATED }) { minimizedComment { isMinimized } } }";
const NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on PullRequestReviewComment { id isMinimized } } }";

let github: FakeGitHub;
let pull: PullView;
let id: string;

beforeAll(async () => {
  ({ github, pull } = await startWithPull());
  github.commentOnLine(pull, { by: "reader", path: "src/a.ts", line: 2, body: "Hm." });
  id = nodeId("PRRC", github.pullRequest(pull).reviews[0]?.comments[0]?.id ?? 0);
});

afterAll(() => github.close());

const ask = async (as: string | undefined, query: string, variables: object) => {
  const { status, body } = await call(github, "POST /graphql", {
    ...(as === undefined ? {} : { as }),
    body: { query, variables },
  });
  return { status, body: body as { data?: unknown; errors?: { type?: string }[] } };
};

it("minimises a comment for a token that may write pull requests of its repository, and says so when asked", async () => {
  const as = await mint(github, REPO, { pull_requests: "write" });
  expect((await ask(as, NODES, { ids: [id] })).body).toEqual({ data: { nodes: [{ id, isMinimized: false }] } });
  const { body } = await ask(as, MINIMISE, { c0: id });
  expect(body).toEqual({ data: { c0: { minimizedComment: { isMinimized: true } } } });
  expect((await ask(as, NODES, { ids: [id] })).body).toEqual({ data: { nodes: [{ id, isMinimized: true }] } });
});

it("refuses as GitHub does: without a token, with too few rights, what is not there, what no schema has", async () => {
  const reader = await mint(github, REPO, { pull_requests: "read" });
  const stranger = await mint(github, REPO, { issues: "write" });
  expect((await ask(undefined, MINIMISE, { c0: id })).status).toBe(401);
  const faultOf = async (...asked: Parameters<typeof ask>) => (await ask(...asked)).body.errors?.[0]?.type;
  expect(await faultOf(reader, MINIMISE, { c0: id })).toBe("FORBIDDEN");
  expect(await faultOf(stranger, NODES, { ids: [id] })).toBe("FORBIDDEN");
  expect(await faultOf(reader, NODES, { ids: [id, "PRRC_none"] })).toBe("NOT_FOUND");
  expect(await faultOf(reader, NODES, { ids: Array.from({ length: 101 }, () => id) })).toBe("ARGUMENT_LIMIT");
  for (const [query, variables] of [
    ["query { viewer { login } }", {}],
    [MINIMISE.replace("OUTDATED", "OLD"), { c0: id }],
    [MINIMISE.replace("subjectId", "id"), { c0: id }],
    [MINIMISE, {}],
    [NODES, { ids: id }],
  ] as const) {
    const { body } = await ask(reader, query, variables);
    expect([body.data, body.errors?.length]).toEqual([undefined, 1]);
  }
});
