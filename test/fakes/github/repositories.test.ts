import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FakeGitHub } from "./server.ts";
import { API, call, mint, REPO, startWithPull } from "./testing.ts";
import type { RoleName } from "./world.ts";

let github: FakeGitHub;

beforeEach(async () => {
  ({ github } = await startWithPull());
});

afterEach(() => github.close());

describe("roles", () => {
  async function roleOf(login: string, repo = REPO): Promise<unknown> {
    const as = await mint(github, repo, { metadata: "read" });
    const { status, body } = await call(github, `GET /repos/${repo}/collaborators/${login}/permission`, { as });
    return status === 200 ? [body.permission, body.role_name] : status;
  }

  it.each<[RoleName, string]>([
    ["admin", "admin"],
    ["maintain", "write"],
    ["write", "write"],
    ["triage", "read"],
    ["read", "read"],
    ["none", "none"],
  ])("%s shows as %s in the folded field", async (role, folded) => {
    github.setRole(REPO, "bob", role);
    expect(await roleOf("bob")).toEqual([folded, role]);
  });

  it("strangers may read what is public and are unknown to what is private", async () => {
    await github.createRepository({ owner: "octo", name: "open" });
    github.createUser("stranger");
    expect(await roleOf("stranger", "octo/open")).toEqual(["read", "read"]);
    expect(await roleOf("stranger")).toBe(404);
    expect(await roleOf("nobody", "octo/open")).toBe(404);
  });

  it("are asked of bots too", async () => {
    github.setRole(REPO, "helper[bot]", "write");
    expect(await roleOf("helper%5Bbot%5D")).toEqual(["write", "write"]);
    expect(github.contractViolations).toEqual([]);
  });
});

describe("contents", () => {
  async function show(path: string, accept?: string): Promise<Awaited<ReturnType<typeof call>>> {
    const as = await mint(github, REPO, { contents: "read" });
    return call(github, `GET ${API}/contents/${path}`, { as, ...(accept === undefined ? {} : { accept }) });
  }

  it("come as base64, or raw when asked for", async () => {
    const { body } = await show("README.md");
    expect(body).toMatchObject({ type: "file", encoding: "base64", size: 6, path: "README.md" });
    expect(Buffer.from(body.content as string, "base64").toString()).toBe("# App\n");
    const raw = await show("README.md", "application/vnd.github.raw+json");
    expect(raw.body).toBe("# App\n");
    expect(raw.headers.get("content-type")).toContain("application/vnd.github.raw+json");
  });

  it("are those of the ref, found by slashes written either way", async () => {
    expect((await show("src%2Fa.ts")).body.size).toBe(14);
    expect((await show("src/a.ts?ref=change-a")).body.size).toBe(19);
    expect((await show("src/b.bin")).status).toBe(404);
    expect((await show("README.md?ref=nowhere")).status).toBe(404);
  });

  it("list a folder, and the root", async () => {
    expect((await show("src?ref=change-a")).body.map(({ path }: { path: string }) => path)).toEqual([
      "src/a.ts",
      "src/b.bin",
    ]);
    const root = (await show("")).body as { name: string; type: string }[];
    expect(root.map(({ name, type }) => `${name} ${type}`)).toEqual([".github dir", "README.md file", "src dir"]);
    expect(github.contractViolations).toEqual([]);
  });

  it("follow a link to a file in the repository, and show any other as a link", async () => {
    const link = (content: string): { content: string; mode: string } => ({ content, mode: "120000" });
    await github.commit(REPO, "main", { files: { inside: link("src/a.ts"), outside: link("../../etc/passwd") } });
    expect((await show("inside")).body).toMatchObject({ type: "file", size: 14 });
    expect((await show("outside")).body).toMatchObject({ type: "symlink", target: "../../etc/passwd" });
    expect(github.contractViolations).toEqual([]);
  });
});

describe("repositories", () => {
  it("are found by name whatever its case, and by id", async () => {
    const as = await mint(github, REPO, { metadata: "read" });
    const { id } = github.repository(REPO);
    expect((await call(github, "GET /repos/OCTO/App", { as })).body).toMatchObject({
      id,
      full_name: REPO,
      private: true,
    });
    expect((await call(github, `GET /repositories/${id}`, { as })).body).toMatchObject({ id });
    expect(github.contractViolations).toEqual([]);
  });

  it("list the labels they have, and make new ones", async () => {
    const as = await mint(github, REPO, { issues: "write" });
    const body = { name: "codex-review", color: "5319e7" };
    expect((await call(github, `POST ${API}/labels`, { as, body })).status).toBe(201);
    expect((await call(github, `POST ${API}/labels`, { as, body })).status).toBe(422);
    expect((await call(github, `GET ${API}/labels`, { as })).body).toMatchObject([body]);
    expect((await call(github, `POST ${API}/issues/1/labels`, { as, body: ["codex-review"] })).body).toMatchObject([
      body,
    ]);
    expect(github.contractViolations).toEqual([]);
  });
});
