import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { routes } from "./api.ts";
import { createContract } from "./contract.ts";
import { servedOperations, servedWebhooks } from "./served.ts";
import type { FakeGitHub } from "./server.ts";
import { API, call, mint, REPO, startWithPull } from "./testing.ts";

const contract = createContract();
const createComment = { method: "POST", path: "/repos/{owner}/{repo}/issues/{issue_number}/comments" };
const installationToken = { method: "POST", path: "/app/installations/{installation_id}/access_tokens" };

describe("the description", () => {
  it("has every route that is served, and nothing else is in the subset", () => {
    const described = servedOperations.map(([method, path]) => `${method} ${path}`);
    const served = routes
      .filter((route) => route.describedAs === undefined && route.isUndescribed !== true)
      .map((route) => `${route.method} ${route.path}`);
    expect(served.toSorted()).toEqual(described.toSorted());
  });

  it("finds a planted wrong answer", () => {
    const good = { token: "ghs_x", expires_at: "2026-01-01T00:00:00Z" };
    expect(contract.response(installationToken, { status: 201, body: good })).toEqual([]);
    expect(contract.response(installationToken, { status: 201, body: { token: "ghs_x" } })).not.toEqual([]);
    expect(contract.response(installationToken, { status: 201, body: { ...good, expires_at: 5 } })).not.toEqual([]);
    expect(contract.response(installationToken, { status: 204, body: undefined })).not.toEqual([]);
  });

  it("has every webhook that is sent", () => {
    const problems = servedWebhooks.flatMap((name) => contract.webhook(name, {}));
    expect(problems.filter((problem) => problem.includes("not in the description"))).toEqual([]);
  });

  it("finds a planted wrong webhook", () => {
    expect(contract.webhook("pull_request.labeled", { action: "labeled" })).not.toEqual([]);
    expect(contract.webhook("pull_request.sneezed", {})).toEqual([
      "webhook pull_request.sneezed: not in the description",
    ]);
  });

  it("finds unknown and ill-typed fields of a request, also deep ones", () => {
    const query = new URLSearchParams();
    const checkRun = { method: "POST", path: "/repos/{owner}/{repo}/check-runs" };
    const base = { name: "n", head_sha: "s" };
    expect(contract.request(createComment, { query, body: { body: "text" } })).toEqual([]);
    expect(contract.request(createComment, { query, body: { body: "text", bodyy: 1 } })).not.toEqual([]);
    expect(contract.request(createComment, { query, body: { body: 1 } })).not.toEqual([]);
    expect(contract.request(checkRun, { query, body: { ...base, output: { title: "t", summary: "s" } } })).toEqual([]);
    expect(
      contract.request(checkRun, { query, body: { ...base, output: { title: "t", summary: "s", texd: "" } } }),
    ).not.toEqual([]);
    expect(contract.request(checkRun, { query: new URLSearchParams("filter=all"), body: base })).not.toEqual([]);
  });
});

describe("the server", () => {
  let github: FakeGitHub;
  beforeEach(async () => {
    ({ github } = await startWithPull());
  });
  afterEach(() => github.close());

  it("refuses a request with an unknown field and remembers it", async () => {
    const as = await mint(github, REPO, { issues: "write" });
    const answer = await call(github, `POST ${API}/issues/1/comments`, { as, body: { body: "text", in_reply_to: 5 } });
    expect(answer.status).toBe(422);
    expect(github.contractViolations.join()).toContain("in_reply_to");
    expect(github.pullRequest({ repo: REPO, number: 1 }).comments).toEqual([]);
  });

  it("remembers requests to routes it does not serve", async () => {
    const as = await mint(github, REPO, { issues: "write" });
    expect((await call(github, `GET ${API}/stargazers`, { as })).status).toBe(404);
    expect((await call(github, `PUT ${API}`, { as, body: {} })).status).toBe(404);
    expect(github.unknownRequests).toEqual([`GET ${API}/stargazers`, `PUT ${API}`]);
  });
});
