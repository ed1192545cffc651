/** Helpers for the tests of the stand-in. */
import { createSign } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { createFakeGitHub } from "./server.ts";
import type { FakeGitHub, FakeGitHubOptions } from "./server.ts";
import type { PullView } from "./views.ts";

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: any; // oxlint-disable-line typescript/no-explicit-any -- answers of many shapes, looked at field by field
}

/** Signs a JWT with the claims given over those GitHub accepts. */
export function appJwt(privateKeyPem: string, claims: Record<string, unknown>, algorithm = "RS256"): string {
  const parts = [{ alg: algorithm, typ: "JWT" }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  const signature = createSign("RSA-SHA256").update(parts.join(".")).sign(privateKeyPem, "base64url");
  return `${parts.join(".")}.${signature}`;
}

/** One request; `as` is a token or a JWT. */
export async function call(
  github: FakeGitHub,
  request: string,
  more: { as?: string; body?: unknown; accept?: string } = {},
): Promise<Answered> {
  const [method = "GET", path = "/"] = request.split(" ");
  const response = await fetch(`${github.url}${path}`, {
    method,
    headers: {
      "user-agent": "mayfly-test",
      accept: more.accept ?? "application/vnd.github+json",
      ...(more.as === undefined ? {} : { authorization: `Bearer ${more.as}` }),
    },
    ...(more.body === undefined ? {} : { body: JSON.stringify(more.body) }),
  });
  const text = await response.text();
  const json = response.headers.get("content-type")?.startsWith("application/json") === true;
  return { status: response.status, headers: response.headers, body: json && text !== "" ? JSON.parse(text) : text };
}

/** A JWT that is good now. */
export function goodJwt(github: FakeGitHub): string {
  const nowS = Math.floor(Date.now() / 1000);
  return appJwt(github.privateKeyPem ?? "", { iss: github.appId, iat: nowS - 60, exp: nowS + 540 });
}

/** The name of the repository that `startWithPull` makes. */
export const REPO = "octo/app";
/** Its path in the API. */
export const API = `/repos/${REPO}`;

/** A stand-in with a private repository that `ann` may write to, and her pull request. */
export async function startWithPull(options: FakeGitHubOptions = {}): Promise<{ github: FakeGitHub; pull: PullView }> {
  const github = await createFakeGitHub(options);
  const files = {
    "README.md": "# App\n",
    "src/a.ts": "one\ntwo\nthree\n",
    ".github/codex/labels/codex-review.md": "Review.\n",
  };
  await github.createRepository({ owner: "octo", ownerType: "Organization", name: "app", private: true, files });
  github.setRole(REPO, "ann", "write");
  const head = { files: { "src/a.ts": "one\nTWO\nthree\nfour\n", "src/b.bin": new Uint8Array([0, 1, 2]) } };
  const pull = await github.openPullRequest({ repo: REPO, title: "Change a", author: "ann", branch: "change-a", head });
  return { github, pull };
}

/** A token for one repository with exactly those permissions. */
export async function mint(github: FakeGitHub, repo: string, permissions: Record<string, string>): Promise<string> {
  const { id, installationId } = github.repository(repo);
  const body = { repository_ids: [id], permissions };
  const answer = await call(github, `POST /app/installations/${installationId}/access_tokens`, {
    as: goodJwt(github),
    body,
  });
  if (answer.status !== 201) {
    throw new Error(`mint: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  return (answer.body as { token: string }).token;
}

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A receiver of webhooks that keeps what it got; `status` is what it answers. */
export async function createReceiver(): Promise<{
  url: string;
  received: Received[];
  answer: { status: number };
  close(): Promise<void>;
}> {
  const received: Received[] = [];
  const answer = { status: 202 };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(answer.status).end();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook`,
    received,
    answer,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
