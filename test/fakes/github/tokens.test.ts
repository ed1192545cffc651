import { createAppAuth } from "@octokit/auth-app";
import { Octokit } from "@octokit/core";
import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFakeGitHub } from "./server.ts";
import type { FakeGitHub } from "./server.ts";
import { API, appJwt, call, goodJwt, mint, REPO, startWithPull } from "./testing.ts";
import type { PullView } from "./views.ts";

const HOUR_MS = 3_600_000;
let github: FakeGitHub;
let pull: PullView;
let aheadMs: number;

beforeEach(async () => {
  aheadMs = 0;
  ({ github, pull } = await startWithPull({ clock: () => Date.now() + aheadMs }));
});

afterEach(() => github.close());

function nowS(): number {
  return Math.floor(Date.now() / 1000);
}

describe("the App's own credential", () => {
  const now = nowS();
  const good = { iss: 123456, iat: now - 60, exp: now + 500 };

  async function statusOf(jwt: string): Promise<number> {
    return (await call(github, "GET /app", { as: jwt })).status;
  }

  it("takes a fresh JWT with the App's id as number or as string", async () => {
    const key = github.privateKeyPem ?? "";
    expect(await statusOf(appJwt(key, good))).toBe(200);
    expect(await statusOf(appJwt(key, { ...good, iss: "123456" }))).toBe(200);
  });

  it.each([
    ["expired", { ...good, exp: now - 1 }],
    ["too long", { ...good, exp: now + 700 }],
    ["without an end", { iss: 123456, iat: now }],
    ["issued in the future", { ...good, iat: now + 120 }],
    ["without a beginning", { iss: 123456, exp: now + 60 }],
    ["of another App", { ...good, iss: 1 }],
  ])("refuses a JWT that is %s", async (_, claims) => {
    const answer = await call(github, "GET /app", { as: appJwt(github.privateKeyPem ?? "", claims) });
    expect(answer.status).toBe(401);
    expect(answer.body).toEqual({ message: expect.any(String), documentation_url: expect.any(String), status: "401" });
  });

  it("refuses a foreign key, another algorithm, an altered payload and no credential at all", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    expect(await statusOf(appJwt(privateKey.export({ type: "pkcs1", format: "pem" }).toString(), good))).toBe(401);
    expect(await statusOf(appJwt(github.privateKeyPem ?? "", good, "HS256"))).toBe(401);
    const [header, , signature] = goodJwt(github).split(".");
    const payload = Buffer.from(JSON.stringify({ ...good, exp: good.exp + 1 })).toString("base64url");
    expect(await statusOf([header, payload, signature].join("."))).toBe(401);
    expect((await call(github, "GET /app")).status).toBe(401);
  });

  it("takes a public key whose private half it never sees", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const other = await createFakeGitHub({
      appPublicKeyPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    });
    const jwt = appJwt(privateKey.export({ type: "pkcs1", format: "pem" }).toString(), good);
    expect((await call(other, "GET /app", { as: jwt })).status).toBe(200);
    expect(other.privateKeyPem).toBeUndefined();
    await other.close();
  });

  it("is enough for Octokit's own App authentication", async () => {
    const { request } = new Octokit({ baseUrl: github.url });
    const auth = createAppAuth({ appId: github.appId, privateKey: github.privateKeyPem ?? "", request });
    const { installationId } = github.repository(REPO);
    const { token } = await auth({ type: "installation", installationId: installationId ?? 0 });
    expect((await call(github, `GET ${API}`, { as: token })).status).toBe(200);
    expect(github.contractViolations).toEqual([]);
  });
});

describe("installation tokens", () => {
  it("have GitHub's long form and are recorded with every use", async () => {
    const token = await mint(github, REPO, { contents: "read" });
    expect(token).toMatch(/^ghs_123456_[\w.-]{400,}$/);
    await call(github, `GET ${API}/contents/README.md`, { as: token });
    const [record] = github.tokens();
    expect(record?.permissions).toEqual({ metadata: "read", contents: "read" });
    expect(record?.repositoryIds).toEqual([github.repository(REPO).id]);
    expect(record?.uses).toMatchObject([{ method: "GET", path: `${API}/contents/README.md`, status: 200 }]);
  });

  it("are not minted for what the installation was not granted", async () => {
    const { id, installationId } = github.repository(REPO);
    const path = `POST /app/installations/${installationId}/access_tokens`;
    const as = goodJwt(github);
    expect((await call(github, path, { as, body: { permissions: { workflows: "write" } } })).status).toBe(422);
    expect((await call(github, path, { as, body: { repository_ids: [id + 1000] } })).status).toBe(422);
    expect((await call(github, path, { as, body: { repositories: ["other"] } })).status).toBe(422);
    expect((await call(github, "POST /app/installations/1/access_tokens", { as })).status).toBe(404);
    expect(github.tokens()).toEqual([]);
  });

  it("reach only the repository they were minted for", async () => {
    await github.createRepository({ owner: "octo", name: "other" });
    const token = await mint(github, REPO, { contents: "read" });
    expect((await call(github, "GET /repos/octo/other", { as: token })).status).toBe(404);
    expect((await call(github, `GET ${API}`, { as: token })).status).toBe(200);
  });

  it.each([
    [`GET ${API}/contents/README.md`, { issues: "read" }, undefined],
    [`POST ${API}/issues/1/comments`, { issues: "read" }, { body: "text" }],
    [`POST ${API}/check-runs`, { checks: "read" }, { name: "n", head_sha: "0".repeat(40) }],
    [`GET ${API}/pulls/1`, { contents: "read" }, undefined],
    [`POST ${API}/pulls/1/reviews`, { pull_requests: "read" }, { event: "COMMENT", body: "text" }],
    [`POST ${API}/git/blobs`, { contents: "read" }, { content: "x" }],
  ])("meet 403 at %s with %j", async (request, permissions, body) => {
    const as = await mint(github, REPO, permissions);
    const answer = await call(github, request, { as, body });
    expect(answer.status).toBe(403);
    expect(answer.body.message).toBe("Resource not accessible by integration");
  });

  it("die when revoked, and only those", async () => {
    const token = await mint(github, REPO, { contents: "read" });
    const other = await mint(github, REPO, { contents: "read" });
    expect((await call(github, "DELETE /installation/token", { as: token })).status).toBe(204);
    expect((await call(github, `GET ${API}`, { as: token })).status).toBe(401);
    expect((await call(github, "DELETE /installation/token", { as: token })).status).toBe(401);
    expect((await call(github, `GET ${API}`, { as: other })).status).toBe(200);
    expect(github.tokens().map((record) => record.revokedAt !== undefined)).toEqual([true, false]);
  });

  it("die after an hour", async () => {
    const token = await mint(github, REPO, { contents: "read" });
    aheadMs = HOUR_MS - 1000;
    expect((await call(github, `GET ${API}`, { as: token })).status).toBe(200);
    aheadMs = HOUR_MS + 1000;
    expect((await call(github, `GET ${API}`, { as: token })).status).toBe(401);
  });

  it("die when the App is uninstalled", async () => {
    const token = await mint(github, REPO, { contents: "read" });
    github.uninstall("octo");
    expect((await call(github, `GET ${API}`, { as: token })).status).toBe(401);
  });

  it("are not minted by a token, nor is a JWT taken where a token is due", async () => {
    const token = await mint(github, REPO, { contents: "read" });
    const { installationId } = github.repository(REPO);
    expect((await call(github, `POST /app/installations/${installationId}/access_tokens`, { as: token })).status).toBe(
      401,
    );
    expect((await call(github, `GET ${API}/pulls/${pull.number}`, { as: goodJwt(github) })).status).toBe(403);
  });

  it("share the installation's hourly limit, counted in every answer", async () => {
    const small = await createFakeGitHub({ rateLimitPerHour: 2, clock: () => Date.now() + aheadMs });
    await small.createRepository({ owner: "octo", name: "app" });
    const token = await mint(small, REPO, { contents: "read" });
    const left = (await call(small, `GET ${API}`, { as: token })).headers.get("x-ratelimit-remaining");
    expect(left).toBe("1");
    await call(small, `GET ${API}`, { as: token });
    const refused = await call(small, `GET ${API}`, { as: token });
    expect([refused.status, refused.headers.get("x-ratelimit-remaining")]).toEqual([403, "0"]);
    await small.close();
  });
});
