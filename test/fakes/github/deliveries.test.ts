import assert from "node:assert/strict";
import { Webhooks } from "@octokit/webhooks";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { FakeGitHub } from "./server.ts";
import { API, call, createReceiver, goodJwt, mint, REPO, startWithPull } from "./testing.ts";
import type { PullView } from "./views.ts";

let github: FakeGitHub;
let pull: PullView;
let receiver: Awaited<ReturnType<typeof createReceiver>>;

beforeEach(async () => {
  receiver = await createReceiver();
  ({ github, pull } = await startWithPull({ webhookUrl: receiver.url, webhookSecret: "secret" }));
  await github.deliveriesSettled();
  receiver.received.length = 0;
});

afterEach(async () => {
  const violations = [...github.contractViolations];
  await github.close();
  await receiver.close();
  assert.deepEqual(violations, []);
});

interface Payload {
  readonly action: string;
  readonly sender: { login: string; type: string };
  readonly installation: { id: number };
  readonly label?: { name: string };
  readonly before?: string;
  readonly after?: string;
  readonly pull_request: {
    updated_at: string;
    head: { sha: string; ref: string; repo: { id: number; full_name: string; fork: boolean; pushed_at: string } };
    base: { repo: { full_name: string; private: boolean; default_branch: string } };
  };
}

function payloads(): Payload[] {
  return receiver.received.map(({ body }) => JSON.parse(body) as Payload);
}

it("signs what it sends so that Octokit verifies it, over the exact bytes", async () => {
  await github.addLabel(pull, "codex-review", { by: "ann" });
  await github.deliveriesSettled();
  const [request] = receiver.received;
  expect(request?.headers).toMatchObject({
    "content-type": "application/json",
    "user-agent": expect.stringMatching(/^GitHub-Hookshot\//),
    "x-github-event": "pull_request",
    "x-github-delivery": expect.stringMatching(/^[0-9a-f-]{36}$/),
    "x-github-hook-installation-target-id": String(github.appId),
    "x-github-hook-installation-target-type": "integration",
  });
  const signature = String(request?.headers["x-hub-signature-256"]);
  const webhooks = new Webhooks({ secret: "secret" });
  expect(await webhooks.verify(request?.body ?? "", signature)).toBe(true);
  expect(await webhooks.verify(`${request?.body} `, signature)).toBe(false);
});

it("says who put which label on which head of which repository", async () => {
  await github.addLabel(pull, "codex-review", { by: "ann" });
  await github.deliveriesSettled();
  const [payload] = payloads();
  expect(payload).toMatchObject({
    action: "labeled",
    label: { name: "codex-review" },
    sender: { login: "ann", type: "User" },
    installation: { id: github.repository(REPO).installationId },
    pull_request: {
      head: { sha: pull.headSha, ref: "change-a", repo: { full_name: REPO, fork: false } },
      base: { repo: { full_name: REPO, private: true, default_branch: "main" } },
    },
  });
});

it("gives every act on a pull request a later time stamp", async () => {
  await github.addLabel(pull, "codex-review", { by: "ann" });
  await github.removeLabel(pull, "codex-review", { by: "ann" });
  await github.addLabel(pull, "codex-review", { by: "ann" });
  await github.addLabel(pull, "codex-review", { by: "ann" });
  await github.deliveriesSettled();
  expect(new Set(payloads().map((payload) => payload.pull_request.updated_at)).size).toBe(3);
});

it("sends the App's own removal of a label with the App as sender", async () => {
  await github.addLabel(pull, "codex-review", { by: "ann" });
  const as = await mint(github, REPO, { pull_requests: "write" });
  expect((await call(github, `DELETE ${API}/issues/1/labels/codex-review`, { as })).status).toBe(200);
  expect((await call(github, `DELETE ${API}/issues/1/labels/codex-review`, { as })).status).toBe(404);
  await github.deliveriesSettled();
  expect(payloads().at(-1)).toMatchObject({ action: "unlabeled", sender: { login: "mayfly[bot]", type: "Bot" } });
});

it("sends synchronize with the old and the new head, and marks forks", async () => {
  const pushedAt = Date.parse("2026-01-02T03:04:05Z");
  const fork = await github.openPullRequest({
    repo: REPO,
    title: "F",
    author: "eve",
    fork: "eve",
    head: { files: { e: "e" } },
  });
  const after = await github.push(fork, { files: { e: "f" }, pushedAt });
  await github.deliveriesSettled();
  const payload = payloads().at(-1);
  expect(payload).toMatchObject({ action: "synchronize", before: fork.headSha, after, sender: { login: "eve" } });
  expect(payload?.pull_request.head.repo).toMatchObject({
    full_name: "eve/app",
    fork: true,
    pushed_at: "2026-01-02T03:04:05Z",
  });
});

it("lists deliveries newest first, page by page", async () => {
  await github.addLabel(pull, "one", { by: "ann" });
  github.ping();
  await github.deliveriesSettled();
  const as = goodJwt(github);
  const first = await call(github, "GET /app/hook/deliveries?per_page=3", { as });
  expect(first.body.map((delivery: { event: string }) => delivery.event)).toEqual([
    "ping",
    "pull_request",
    "pull_request",
  ]);
  const next = /<([^>]+)>; rel="next"/.exec(first.headers.get("link") ?? "")?.[1] ?? "";
  const second = await call(github, `GET ${new URL(next).pathname}${new URL(next).search}`, { as });
  expect(second.body.map((delivery: { event: string }) => delivery.event)).toEqual(["installation"]);
  expect(second.headers.get("link")).toBeNull();
});

it("never retries by itself; a redelivery has the same guid and the same bytes", async () => {
  receiver.answer.status = 503;
  await github.addLabel(pull, "codex-review", { by: "ann" });
  await github.deliveriesSettled();
  expect(receiver.received).toHaveLength(1);
  const as = goodJwt(github);
  const failed = await call(github, "GET /app/hook/deliveries?status=failure", { as });
  expect(failed.body).toMatchObject([
    { event: "pull_request", action: "labeled", status_code: 503, redelivery: false },
  ]);
  const { id, guid } = failed.body[0] as { id: number; guid: string };
  receiver.answer.status = 202;
  expect((await call(github, `POST /app/hook/deliveries/${id}/attempts`, { as })).status).toBe(202);
  await github.deliveriesSettled();
  expect(receiver.received[1]?.headers["x-github-delivery"]).toBe(guid);
  expect(receiver.received[1]?.body).toBe(receiver.received[0]?.body);
  const { body } = await call(github, "GET /app/hook/deliveries?per_page=1", { as });
  expect(body).toMatchObject([{ guid, redelivery: true, status_code: 202 }]);
  const whole = await call(github, `GET /app/hook/deliveries/${body[0].id}`, { as });
  expect(whole.body.request.payload.action).toBe("labeled");
});

it("loses deliveries on demand, even ones it logs as received", async () => {
  github.loseNextDeliveries({ loggedAs: 202 });
  await github.addLabel(pull, "codex-review", { by: "ann" });
  await github.deliveriesSettled();
  expect(receiver.received).toEqual([]);
  expect(github.deliveries().at(-1)?.statusCode).toBe(202);
});

it("delivers forged bytes and headers as they are, past the log", async () => {
  const before = github.deliveries().length;
  const answer = await github.deliver({ body: "{", headers: { "x-hub-signature-256": undefined, "x-extra": "1" } });
  expect(answer.statusCode).toBe(202);
  expect(receiver.received[0]?.body).toBe("{");
  expect(receiver.received[0]?.headers).not.toHaveProperty("x-hub-signature-256");
  expect(receiver.received[0]?.headers["x-extra"]).toBe("1");
  expect(github.deliveries()).toHaveLength(before);
});

it("sends comments, check buttons and closing too", async () => {
  const as = await mint(github, REPO, { checks: "write" });
  const actions = [{ label: "Run", description: "Run on this commit", identifier: "run" }];
  const body = { name: "Codex", head_sha: pull.headSha, actions };
  const { id } = (await call(github, `POST ${API}/check-runs`, { as, body })).body as { id: number };
  github.comment(pull, "/codex run", { by: "ann" });
  github.requestCheckAction(REPO, id, "run", { by: "ann" });
  github.rerequestCheck(REPO, id, { by: "ann" });
  await github.closePullRequest(pull);
  await github.deliveriesSettled();
  const sent = receiver.received.map(
    ({ headers, body: text }) => `${String(headers["x-github-event"])}.${(JSON.parse(text) as Payload).action}`,
  );
  expect(sent.toSorted()).toEqual([
    "check_run.created",
    "check_run.requested_action",
    "check_run.rerequested",
    "issue_comment.created",
    "pull_request.closed",
  ]);
});
