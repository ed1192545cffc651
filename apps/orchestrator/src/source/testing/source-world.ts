import { mkdir, mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import {
  defaultTask,
  formatId,
  type DeliveryId,
  type LocalOrigin,
  type PullRequestOrigin,
  type Run,
  type RunId,
  type SourceLayout,
} from "@mayfly/core";
import { pino } from "pino";
import { becomeServiceUser } from "../../../../../test/support/become-service-user.ts";
import { createConfine } from "../../confine/confine.ts";
import { confinedRemove } from "../../confine/confined-remove.ts";
import { createSources, type SourceKeeper, type SourcesDeps } from "../sources.ts";
import { createGitServer, type GitServer, type GitServerOptions } from "./git-server.ts";
import { createRepository, unpack } from "./repository.ts";

export const TOKEN = "ghs_thisTokenReadsOneRepositoryOnly";
const REPOSITORY_ID = 4711;

/** A pull request as GitHub would describe it. */
export interface PullRequest {
  readonly head: string;
  readonly base: string;
  readonly mergeBase: string | null;
  readonly commits: readonly string[];
}

/** Real confinement, real git, real HTTP, in a temporary folder. */
export interface SourceWorld {
  readonly folder: string;
  readonly stateDir: string;
  /** The bare repository that the server serves, with everything of its fork network. */
  readonly repository: string;
  readonly mirror: string;
  /** How often a token was lent. */
  lent(): number;
  serve(options?: Partial<GitServerOptions>): Promise<GitServer>;
  sources(url: string, pull: PullRequest, changes?: Partial<SourcesDeps>): SourceKeeper;
  /** Packs it, unpacks it as the machine does, and returns where. */
  deliver(sources: SourceKeeper, run: Run): Promise<{ layout: SourceLayout; folder: string }>;
  /** Names of everything that packing has left in the state folder, but the mirrors' constant configuration. */
  leftovers(): Promise<string[]>;
  close(): Promise<void>;
}

export async function createSourceWorld(): Promise<SourceWorld> {
  const user = await becomeServiceUser();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-source-"));
  const stateDir = join(folder, "state");
  const repository = join(folder, "served", "base.git");
  await mkdir(join(folder, "served"));
  await createRepository(repository);
  const servers: GitServer[] = [];
  let lent = 0;

  return {
    folder,
    stateDir,
    repository,
    mirror: join(stateDir, "source", "mirrors", `${REPOSITORY_ID}.git`),
    lent: () => lent,
    async serve(options) {
      const server = await createGitServer({ root: join(folder, "served"), token: TOKEN, ...options });
      servers.push(server);
      return server;
    },
    sources: (url, pull, changes) =>
      createSources({
        stateDir,
        confine: createConfine(user),
        firstUidOffset: 512,
        remove: (path) => confinedRemove(user, path),
        gitUrl: () => `${url}/base.git`,
        listCommits: async ({ repository: now }) => ({
          commits: pull.commits,
          mergeBase: pull.mergeBase,
          repository: now,
        }),
        withReadToken(_origin, use) {
          lent += 1;
          return use(TOKEN);
        },
        log: pino({ level: "silent" }),
        ...changes,
      }),
    async deliver(sources, run) {
      const layout = await sources.ensurePacked(run);
      const target = join(folder, `machine-${run.id}`);
      await unpack(target, await buffer(await sources.openPack(run.id)), layout);
      return { layout, folder: target };
    },
    async leftovers() {
      const [packs, mirrors] = await Promise.all(
        ["packs", "mirrors"].map((name) => listFolder(join(stateDir, "source", name))),
      );
      return [...(packs ?? []), ...(mirrors ?? []).filter((name) => name !== "config")];
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()));
      await confinedRemove(user, folder);
    },
  };
}

let runs = 0;

/** A queued run on that pull request, or on that folder. */
export function runOn(pull: PullRequest | string): Run {
  return {
    schema: 1,
    id: formatId("run", ++runs, new Uint8Array(10)) as RunId,
    request: {
      origin: typeof pull === "string" ? localOrigin(pull) : pullRequestOrigin(pull),
      requestedAt: 0,
      task: defaultTask("codex-review", "scripted"),
      taskDigest: null,
      prompt: "Review this.",
    },
    createdAt: 0,
    epoch: 0,
    times: {},
    gone: [],
    modelCalls: 0,
    phase: "queued",
    since: 0,
    source: null,
    waitingFor: "source",
  };
}

function localOrigin(path: string): LocalOrigin {
  return { kind: "local", user: "ada", path };
}

function pullRequestOrigin(pull: PullRequest): PullRequestOrigin {
  return {
    kind: "pull_request",
    delivery: "00000000-0000-0000-0000-000000000000" as DeliveryId,
    installation: 1,
    repository: { id: REPOSITORY_ID, owner: "example", name: "base" },
    number: 7,
    label: "codex-review",
    actor: { id: 1, login: "ada", type: "User" },
    role: "write",
    head: pull.head,
    base: pull.base,
    fork: true,
  };
}

async function listFolder(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
