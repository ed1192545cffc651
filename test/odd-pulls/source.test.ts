import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { limits, type PullRequestOrigin, requestRun, type Run, type SourceLayout } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createConfine } from "../../apps/orchestrator/src/confine/confine.ts";
import { confinedRemove } from "../../apps/orchestrator/src/confine/confined-remove.ts";
import type { ServiceUser } from "../../apps/orchestrator/src/confine/service-user.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { placeOf } from "../../apps/orchestrator/src/github/pull-requests.ts";
import { createRecords } from "../../apps/orchestrator/src/runs/records.ts";
import { createRunSteps } from "../../apps/orchestrator/src/runs/steps.ts";
import { createSources, type SourceKeeper } from "../../apps/orchestrator/src/source/sources.ts";
import { git, unpack } from "../../apps/orchestrator/src/source/testing/repository.ts";
import { type CommandBench, LABEL, openCommands } from "../commands/bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { publisherOf, saying } from "../safe-output/publishing.ts";
import { becomeServiceUser } from "../support/become-service-user.ts";
import { endOf, type Found, label, REVIEW_TASK } from "./bench.ts";

const tasks = { [LABEL]: REVIEW_TASK };
const clock = { now: () => Date.now() };
let user: ServiceUser;
let folder: string;
let bench: CommandBench;

beforeAll(async () => {
  user = await becomeServiceUser();
  folder = await mkdtemp(join(tmpdir(), "mayfly-odd-"));
  bench = await openCommands();
});

afterAll(async () => {
  await bench.end();
  await confinedRemove(user, folder);
});

/** Real git with real tokens, put together as the service does. */
function openSources(bytesMax: number = limits.sourceBytesMax): SourceKeeper {
  return createSources({
    stateDir: join(folder, "state"),
    confine: createConfine(user),
    firstUidOffset: 512,
    remove: (path) => confinedRemove(user, path),
    gitUrl: ({ repository }) => `${bench.github.gitUrl}/${repository.owner}/${repository.name}.git`,
    listCommits: (origin) => bench.reader.commitsOf(origin),
    withReadToken: (origin, use) => bench.app.withToken("source", placeOf(origin), use),
    log: createLog({ level: "silent" }).log,
    bytesMax,
  });
}

/** What the machine of a run gets. */
async function deliver({ run }: Found): Promise<{ layout: SourceLayout; at: string }> {
  const sources = openSources();
  const layout = await sources.ensurePacked(run);
  const at = join(folder, `machine-${run.id}`);
  await unpack(at, await buffer(await sources.openPack(run.id)), layout);
  return { layout, at };
}

/** Takes a run as far as it goes before a machine, and puts its end on GitHub. */
async function stepUntilEnd({ run }: Found, sources: SourceKeeper, now = clock): Promise<Run> {
  const { publisher } = publisherOf(bench, saying("Nothing."));
  const steps = createRunSteps({
    records: createRecords({ store: bench.store, clock: now }),
    sources,
    publisher,
    wakeups: { wakeRun: async () => {}, wakeMachine: async () => {}, wakeLaunch: async () => {} },
    clock: now,
    log: createLog({ level: "silent" }).log,
    settlePatch: async () => undefined,
    storeReceipt: async () => {},
  });
  await steps.stepRun(run.id);
  return (await bench.store.loadRun(run.id))?.value ?? run;
}

/** The same run on another head, as if it had been asked for then. */
function onHead({ run, origin }: Found, head: string): Found & { origin: PullRequestOrigin } {
  const moved = { ...origin, head };
  return {
    run: requestRun({ id: run.id, request: { ...run.request, origin: moved }, now: clock.now() }),
    origin: moved,
  };
}

const said = (pull: PullView) => bench.said(pull).join();

describe("the source of a pull request", () => {
  it("is fetched under the new name of a repository that was renamed meanwhile", async () => {
    const pull = await bench.open("source-old", { tasks });
    const found = await label(bench, pull);
    bench.github.renameRepository(pull.repo, "source-new");
    const { at } = await deliver(found);
    expect(await git(at, ["rev-parse", "HEAD"])).toBe(pull.headSha);
  });

  it("is that of the renamed repository, though another has taken the old name", async () => {
    const pull = await bench.open("source-taken", { tasks });
    const found = await label(bench, pull);
    bench.github.renameRepository(pull.repo, "source-kept");
    await bench.github.createRepository({ owner: "example-org", name: "source-taken" });
    const { at } = await deliver(found);
    expect(await git(at, ["rev-parse", "HEAD"])).toBe(pull.headSha);
  });

  it("is there though the fork is deleted, and though the head was pushed by force meanwhile", async () => {
    const pull = await bench.open("source-fork", { tasks, fork: "stranger-source" });
    const found = await label(bench, pull);
    await bench.github.forcePush(pull, { files: { "README.md": "# A\n\nAnew.\n" } });
    bench.github.deleteFork("stranger-source/source-fork");
    const { at } = await deliver(found);
    expect(await git(at, ["rev-parse", "HEAD"])).toBe(pull.headSha);
  });

  it("has both commits and no merge base where they share no history", async () => {
    const pull = await bench.open("source-unrelated", { tasks });
    const head = await bench.github.forcePushUnrelated(pull, { files: { "README.md": "# New\n" } });
    const found = await label(bench, pull);
    const { layout, at } = await deliver(found);
    expect(layout).toMatchObject({ head, merge_base: null });
    expect(await git(at, ["diff", "--name-only", String(layout.base), head])).toContain("README.md");
  });

  it("has submodules as empty folders, pointers as pointers, links as links, and names byte for byte", async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 12345\n`;
    const files = {
      ".gitattributes": "*.onnx filter=lfs diff=lfs merge=lfs -text\n",
      ".gitmodules": '[submodule "lib"]\n\tpath = vendor/lib\n\turl = https://example.com/lib.git\n',
      "vendor/lib": { mode: "160000", content: "1".repeat(40) },
      "model.onnx": pointer,
      link: { mode: "120000", content: "model.onnx" },
      "logo.bin": new Uint8Array([0, 1, 2, 255]),
      "caf\udce9.txt": "a\n",
    };
    const found = await label(bench, await bench.open("source-files", { tasks, head: { files } }));
    const { at } = await deliver(found);
    expect(await readdir(join(at, "vendor/lib"))).toEqual([]);
    expect(await readFile(join(at, "model.onnx"), "utf8")).toBe(pointer);
    expect(await readFile(join(at, "link"), "utf8")).toBe(pointer);
    expect(await readFile(join(at, "logo.bin"))).toEqual(Buffer.from([0, 1, 2, 255]));
    const names = await readdir(at, { encoding: "buffer" });
    expect(names.map((name) => name.toString("latin1"))).toContain("caf\u00e9.txt");
    expect(await git(at, ["status", "--porcelain", "--ignore-submodules=none"])).toBe("");
  });

  it("has all of 3,100 files and of an empty difference", async () => {
    const files = Object.fromEntries(Array.from({ length: 3_100 }, (_, at) => [`src/${at}.ts`, `${at}\n`]));
    const many = await deliver(await label(bench, await bench.open("source-many", { tasks, head: { files } })));
    expect(await readdir(join(many.at, "src"))).toHaveLength(3_100);
    const pull = await bench.open("source-empty", { tasks, head: { files: { "README.md": "# A\n" } } });
    const { layout, at } = await deliver(await label(bench, pull));
    expect(await git(at, ["diff", "--name-only", `${layout.merge_base}...${layout.head}`])).toBe("");
  });
});

describe("a source that cannot be had", () => {
  it("ends the run with the size that is allowed, on the pull request", async () => {
    // Nothing packs noise any smaller.
    const pull = await bench.open("source-big", {
      tasks,
      head: { files: { "big.bin": randomBytes(2 * 1024 * 1024) } },
    });
    const found = await label(bench, pull);
    const ended = await stepUntilEnd(found, openSources(1024 * 1024));
    expect(endOf({ ...found, run: ended })).toContain("failed source_too_big: the source is larger than 1048576 bytes");
    expect(said(pull)).toContain("The source is bigger than Mayfly accepts");
    expect(bench.github.pullRequest(pull).checkRuns.map(({ conclusion }) => conclusion)).toEqual(["failure"]);
  });

  it("ends the run once git has had its time, where GitHub has the commit no more", async () => {
    const pull = await bench.open("source-gone", { tasks });
    const found = onHead(await label(bench, pull), "0123456789".repeat(4));
    const sources = openSources();
    await expect(sources.ensurePacked(found.run)).rejects.toMatchObject({ code: "SOURCE_UNAVAILABLE" });
    const { run } = await label(bench, await bench.open("source-late", { tasks }));
    const late = { now: () => Date.now() + limits.gitMs + 1 };
    const failing: SourceKeeper = { ...sources, ensurePacked: () => sources.ensurePacked(found.run) };
    const ended = await stepUntilEnd({ ...found, run }, failing, late);
    expect(endOf({ ...found, run: ended })).toContain("failed source_failed: ");
  });
});
