import { afterEach, beforeEach, expect, it } from "vitest";
import { createFakeGitHub } from "./server.ts";
import type { FakeGitHub } from "./server.ts";
import { appJwt, call, goodJwt } from "./testing.ts";

const manifest = {
  name: "Our Mayfly",
  url: "https://example.com",
  redirect_url: "http://127.0.0.1:1/setup/done",
  hook_attributes: { url: "https://example.com/webhook" },
  default_permissions: { checks: "write" },
  default_events: ["pull_request"],
};
let github: FakeGitHub;

beforeEach(async () => {
  github = await createFakeGitHub();
});

afterEach(() => github.close());

function submit(fields: unknown): Promise<Response> {
  const body = new URLSearchParams({ manifest: JSON.stringify(fields) });
  return fetch(`${github.url}/settings/apps/new?state=s1`, { method: "POST", body, redirect: "manual" });
}

it("sends the browser back with the state and a code that converts once to working credentials", async () => {
  const location = new URL((await submit(manifest)).headers.get("location") ?? "");
  expect(location.href).toMatch(/^http:\/\/127\.0\.0\.1:1\/setup\/done\?/);
  expect(location.searchParams.get("state")).toBe("s1");
  const conversion = `POST /app-manifests/${location.searchParams.get("code")}/conversions`;
  const { body } = await call(github, conversion);
  expect(body).toMatchObject({ id: github.appId, name: "Our Mayfly", webhook_secret: github.webhookSecret });
  const nowS = Math.floor(Date.now() / 1000);
  const as = appJwt(body.pem as string, { iss: github.appId, iat: nowS - 60, exp: nowS + 500 });
  const app = (await call(github, "GET /app", { as })).body;
  expect(app).toMatchObject({ permissions: { metadata: "read", checks: "write" }, events: ["pull_request"] });
  expect((await call(github, "GET /app", { as: goodJwt(github) })).status).toBe(401);
  expect((await call(github, conversion)).status).toBe(404);
  expect(github.contractViolations).toEqual([]);
});

it("refuses a manifest without what GitHub needs", async () => {
  expect((await submit({ ...manifest, redirect_url: undefined })).status).toBe(422);
  expect((await submit(null)).status).toBe(422);
});
