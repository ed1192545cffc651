import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFakeOpenAiAdmin, type FakeOpenAiAdmin } from "./server.ts";

const project = "/organization/projects/proj_1";
const create = `${project}/service_accounts/svc_1/api_keys`;
const keys = `${project}/api_keys`;

describe("the stand-in for the Admin API", () => {
  let admin: FakeOpenAiAdmin;
  let now: number;

  beforeEach(async () => {
    now = 1_000_000;
    const place = { adminKey: "sk-admin", project: "proj_1", serviceAccounts: ["svc_1"] };
    admin = await createFakeOpenAiAdmin({ ...place, clock: () => now });
  });

  afterEach(async () => {
    await admin.close();
  });

  async function ask(method: string, path: string, body?: unknown, key = "sk-admin") {
    const response = await fetch(`${admin.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Record<string, unknown> & { error?: { code: string; message: string } };
    return { status: response.status, headers: response.headers, body: answer };
  }

  it("makes a key that works until it expires", async () => {
    const { status, body } = await ask("POST", create, { name: "n", scopes: ["a"], expires_in_seconds: 60 });
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { object: "organization.project.service_account.api_key", name: "n", created_at: 1_000, expires_at: 1_060 },
    });
    const value = String(body["value"]);
    expect(admin.isGood(value)).toBe(true);
    now += 60_000;
    expect(admin.isGood(value)).toBe(false);
    expect(admin.present()).toHaveLength(1);
  });

  it("takes an empty list of scopes for all of them", async () => {
    await ask("POST", create, { scopes: [] });
    expect(admin.keys).toMatchObject([{ scopes: null, expiresAt: null }]);
  });

  it("deletes a key once", async () => {
    const { body } = await ask("POST", create, { name: "n" });
    const path = `${keys}/${String(body["id"])}`;
    expect((await ask("DELETE", path)).body).toEqual({
      object: "organization.project.api_key.deleted",
      id: body["id"],
      deleted: true,
    });
    expect(admin.isGood(String(body["value"]))).toBe(false);
    expect((await ask("DELETE", path)).status).toBe(404);
  });

  it("lists in pages, without values", async () => {
    const made = ["a", "b", "c"].map((name) => admin.add({ name, serviceAccount: name === "b" ? null : "svc_1" }));
    const first = await ask("GET", `${keys}?limit=2&owner_project_access=any`);
    expect(first.body).toMatchObject({
      object: "list",
      data: [
        { name: "a", owner: { type: "service_account", service_account: { id: "svc_1" } } },
        { name: "b", owner: { type: "user" } },
      ],
      has_more: true,
      last_id: made[1]?.id,
    });
    expect(JSON.stringify(first.body)).not.toContain(made[0]?.value);
    const second = await ask("GET", `${keys}?limit=2&after=${made[1]?.id}`);
    expect(second.body).toMatchObject({ data: [{ name: "c" }], has_more: false });
  });

  it.each([
    ["", ["a"]],
    ["?owner_project_access=active", ["a"]],
    ["?owner_project_access=inactive", ["b"]],
    ["?owner_project_access=any", ["a", "b"]],
  ])("lists by what owners may with %j", async (query, names) => {
    admin.add({ name: "a", serviceAccount: "svc_1" });
    admin.add({ name: "b", serviceAccount: "svc_1", access: "inactive" });
    const { data } = (await ask("GET", `${keys}${query}`)).body as { data?: { name: string }[] };
    expect(data?.map(({ name }) => name)).toEqual(names);
  });

  it.each<[string, string, string, unknown, number]>([
    ["an unknown field", "POST", create, { name: "n", ttl: 3 }, 400],
    ["an empty name", "POST", create, { name: "" }, 400],
    ["a name that is none", "POST", create, { name: 3 }, 400],
    ["scopes that are none", "POST", create, { scopes: "a" }, 400],
    ["a scope that is none", "POST", create, { scopes: [3] }, 400],
    ["a life of nothing", "POST", create, { expires_in_seconds: 0 }, 400],
    ["a life of more than a year", "POST", create, { expires_in_seconds: 31_536_001 }, 400],
    ["half a second", "POST", create, { expires_in_seconds: 0.5 }, 400],
    ["a life in words", "POST", create, { expires_in_seconds: "60" }, 400],
    ["no JSON", "POST", create, "{", 400],
    ["a list", "POST", create, [], 400],
    ["an unknown project", "GET", "/organization/projects/proj_2/api_keys", undefined, 404],
    ["an unknown account", "POST", `${project}/service_accounts/svc_2/api_keys`, {}, 404],
    ["an unknown query", "GET", `${keys}?page=2`, undefined, 400],
    ["too large a page", "GET", `${keys}?limit=101`, undefined, 400],
    ["an unknown access", "GET", `${keys}?owner_project_access=all`, undefined, 400],
    ["another method", "DELETE", keys, undefined, 405],
    ["another path", "GET", "/models", undefined, 404],
  ])("refuses %s, and keeps it as a violation", async (_, method, path, body, status) => {
    expect((await ask(method, path, body)).status).toBe(status);
    expect(admin.violations).toHaveLength(1);
    expect(admin.keys).toEqual([]);
  });

  it("knows no key that is not there", async () => {
    expect((await ask("DELETE", `${keys}/key_1`)).status).toBe(404);
    expect((await ask("GET", `${keys}?after=key_1`)).status).toBe(404);
    // Somebody else may have deleted it: no fault of whoever asks.
    expect(admin.violations).toEqual([]);
  });

  it("refuses another key as the real one does: with a part of it in its words", async () => {
    const { status, body } = await ask("GET", keys, undefined, "sk-admin-another");
    expect({ status, code: body.error?.code }).toEqual({ status: 401, code: "invalid_api_key" });
    expect(body.error?.message).toContain("sk-admin");
  });

  it("misbehaves as often as it is told", async () => {
    admin.misbehave("GET", { kind: "limit", retryAfter: "7" }, { kind: "fail", status: 503 });
    const limited = await ask("GET", keys);
    expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "7"]);
    expect((await ask("GET", keys)).status).toBe(503);
    expect((await ask("GET", keys)).status).toBe(200);
    expect(admin.violations).toEqual([]);
  });

  it("loses an answer after the key was made", async () => {
    admin.misbehave("POST", { kind: "lose-answer" });
    await expect(ask("POST", create, { name: "n" })).rejects.toThrow("fetch failed");
    expect(admin.present()).toHaveLength(1);
  });

  it("holds an answer back until it is let go", async () => {
    admin.misbehave("POST", { kind: "hold" });
    const asked = ask("POST", create, { name: "n" });
    await admin.whenCalled(1);
    expect(admin.calls).toMatchObject([{ status: null }]);
    admin.resume();
    expect((await asked).status).toBe(200);
  });
});
