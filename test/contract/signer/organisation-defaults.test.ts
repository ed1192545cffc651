import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createPullRequestReader } from "../../../apps/orchestrator/src/github/pull-requests.ts";
import type { TaskReading } from "../../../apps/orchestrator/src/github/task-files.ts";
import { createScene, type Scene } from "./scene.ts";

const FOLDER = ".github/codex/labels";
const PATH = `${FOLDER}/codex-review.md`;
const OURS = { [PATH]: "The organisation's.\n" };
let scene: Scene;
let owners = 0;

beforeEach(async () => {
  scene = await createScene();
  await scene.start();
});

afterEach(() => scene.close());

/** What is read for the label in a new account, with these files in its two repositories; null for none of that name. */
async function read(
  own: Readonly<Record<string, string>>,
  defaults: Readonly<Record<string, string>> | null,
  name = "shop",
): Promise<{ found: TaskReading; names: string[] }> {
  owners += 1;
  const owner = `acme-${owners}`;
  const { github } = scene;
  const made = await github.createRepository({ owner, name, files: { "README.md": "# Shop\n", ...own } });
  if (defaults !== null) {
    await github.createRepository({ owner, name: ".github", files: { "README.md": "# Ours\n", ...defaults } });
  }
  const place = { installation: made.installationId ?? 0, repository: { id: made.id, owner, name } };
  return createPullRequestReader(scene.app()).reading(place, async (reading) => ({
    found: await reading.task(PATH, made.defaultBranch),
    names: await reading.taskFolder(FOLDER, made.defaultBranch),
  }));
}

describe("a label without a file in its repository", () => {
  it("stands for the file of the organisation's repository .github, with its commit and blob", async () => {
    const { found, names } = await read({}, OURS);
    expect(found).toMatchObject({ kind: "found", text: "The organisation's.\n" });
    expect(found).toMatchObject({ source: { from: "organisation", name: ".github", path: PATH } });
    expect(found.kind === "found" && [found.source.commit, found.source.blob]).toEqual([
      expect.stringMatching(/^[0-9a-f]{40}$/),
      expect.stringMatching(/^[0-9a-f]{40}$/),
    ]);
    expect(names).toEqual(["codex-review.md"]);
    expect(scene.github.tokens().every(({ revokedAt }) => revokedAt !== undefined)).toBe(true);
  });

  it("stands for nothing where the App has no repository .github, or that has no such file", async () => {
    expect((await read({}, null)).found).toEqual({ kind: "none" });
    expect((await read({}, {})).found).toEqual({ kind: "none" });
  });

  it("asks for no second token where the repository is .github itself", async () => {
    expect((await read({}, null, ".github")).found).toEqual({ kind: "none" });
    expect(scene.github.tokens()).toHaveLength(1);
  });

  it("is refused for the organisation's file when that is too big", async () => {
    const { found } = await read({}, { [PATH]: "x".repeat(65 * 1024) });
    expect(found).toMatchObject({ kind: "odd", what: "bigger than 64 KiB", source: { from: "organisation" } });
  });
});

describe("a label with a file in its repository", () => {
  it("stands for that file, whatever the organisation has", async () => {
    const { found } = await read({ [PATH]: "Mine.\n" }, OURS);
    expect(found).toMatchObject({ kind: "found", text: "Mine.\n", source: { from: "repository", name: "shop" } });
  });

  it("gets no default in the place of one that is too big or a folder", async () => {
    expect((await read({ [PATH]: "x".repeat(65 * 1024) }, OURS)).found).toMatchObject({ kind: "odd" });
    expect((await read({ [`${PATH}/a`]: "a" }, OURS)).found).toMatchObject({ kind: "odd", what: "a folder" });
  });
});

describe("a token for the organisation's defaults", () => {
  it.each([
    ["with no owner", {}],
    ["with an owner that is no login", { owner: "a/b" }],
  ])("is not asked for %s", async (_name, more) => {
    const { installation, repository } = scene.place;
    const request = { purpose: "defaults", installation, repository: repository.id, ...more } as const;
    await expect(scene.client().mint(request)).rejects.toMatchObject({ code: "INPUT_INVALID" });
  });

  it("is revoked and not handed out when it is another account's", async () => {
    const { installation, repository } = scene.place;
    const request = { purpose: "defaults", installation, repository: repository.id, owner: "somebody-else" } as const;
    await expect(scene.client().mint(request)).rejects.toMatchObject({ code: "GITHUB_REFUSED" });
    expect(scene.github.tokens().every(({ revokedAt }) => revokedAt !== undefined)).toBe(true);
  });
});
