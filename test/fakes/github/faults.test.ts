import { afterEach, beforeEach, expect, it } from "vitest";
import type { FakeGitHub } from "./server.ts";
import { API, call, mint, REPO, startWithPull } from "./testing.ts";
import type { PullView } from "./views.ts";

let github: FakeGitHub;
let pull: PullView;
let as: string;

beforeEach(async () => {
  ({ github, pull } = await startWithPull());
  as = await mint(github, REPO, { issues: "write" });
});

afterEach(() => github.close());

it("answers with a secondary limit as often as told, then as always", async () => {
  const pathPattern = /\/comments$/;
  github.failNext({ method: "POST", pathPattern, status: 403, headers: { "retry-after": "7" }, times: 2 });
  for (const _ of [1, 2]) {
    const refused = await call(github, `POST ${API}/issues/1/comments`, { as, body: { body: "x" } });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([403, "7"]);
    expect(refused.body.message).toContain("secondary rate limit");
  }
  expect((await call(github, `POST ${API}/issues/1/comments`, { as, body: { body: "x" } })).status).toBe(201);
  expect(github.pullRequest(pull).comments).toHaveLength(1);
});

it("leaves other paths and methods alone", async () => {
  github.failNext({ method: "POST", pathPattern: /\/comments$/, status: 500 });
  expect((await call(github, `GET ${API}/issues/1/comments`, { as })).status).toBe(200);
  expect((await call(github, `POST ${API}/issues/1/comments`, { as, body: { body: "x" } })).status).toBe(500);
});

it("cuts the connection before the effect", async () => {
  github.failNext({ pathPattern: /\/comments$/, reset: true });
  await expect(call(github, `POST ${API}/issues/1/comments`, { as, body: { body: "x" } })).rejects.toThrow(
    "fetch failed",
  );
  expect(github.pullRequest(pull).comments).toEqual([]);
});

it("cuts the connection after the effect, so that the caller cannot know", async () => {
  github.failNext({ pathPattern: /\/comments$/, lost: true });
  await expect(call(github, `POST ${API}/issues/1/comments`, { as, body: { body: "x" } })).rejects.toThrow(
    "fetch failed",
  );
  expect(github.pullRequest(pull).comments).toHaveLength(1);
  expect(github.contractViolations).toEqual([]);
});

it("delays an answer", async () => {
  github.failNext({ pathPattern: /\/comments$/, delayMs: 50 });
  const startedAt = performance.now();
  expect((await call(github, `GET ${API}/issues/1/comments`, { as })).status).toBe(200);
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(49);
});

it("strikes git as well", async () => {
  github.failNext({ pathPattern: /info\/refs$/, status: 500 });
  const answer = await fetch(`${github.gitUrl}/${REPO}.git/info/refs?service=git-upload-pack`);
  expect(answer.status).toBe(500);
});

it("closes at once though a receiver never answers", async () => {
  const { createServer } = await import("node:http");
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => {
    silent.listen(0, "127.0.0.1", resolve);
  });
  const address = silent.address();
  github.setWebhook({ url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}` });
  github.ping();
  await github.close();
  expect(github.deliveries().at(-1)).toMatchObject({ event: "ping", statusCode: 502 });
  silent.closeAllConnections();
  await new Promise((resolve) => {
    silent.close(resolve);
  });
});
