import { join } from "node:path";
import {
  defaultTask,
  findSecrets,
  type PullRequestOrigin,
  requestRun,
  type Run,
  type RunEvent,
  type SourceLayout,
  decideRun,
  type Digest,
  type MachineId,
} from "@mayfly/core";
import { Octokit } from "@octokit/core";
import { type GitHubApp, mintRequestOf } from "../../apps/orchestrator/src/github/app.ts";
import { createPullRequestReader, type PullRequestReader } from "../../apps/orchestrator/src/github/pull-requests.ts";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { createPublisher, type Publisher } from "../../apps/orchestrator/src/publish/publisher.ts";
import { createRecheckRun, type RecheckRun } from "../../apps/orchestrator/src/runs/recheck-run.ts";
import { createPemAppKey } from "../../apps/orchestrator/src/signer/app-key.ts";
import { namingFaults } from "../../apps/orchestrator/src/signer/github-faults.ts";
import { octokitOptions } from "../../apps/orchestrator/src/signer/octokit-options.ts";
import { openSigner } from "../../apps/orchestrator/src/signer/open-signer.ts";
import type { Signer } from "../../apps/orchestrator/src/signer/signer.ts";
import { createStickyStore } from "../../apps/orchestrator/src/store/stickies.ts";
import { reportInput } from "../../packages/core/src/render/run.fixture.ts";
import { createFakeGitHub, type FakeGitHub } from "../fakes/github/server.ts";
import type { PullView } from "../fakes/github/views.ts";
import { createContext } from "./context.ts";
import type { AttackContext } from "./row.ts";

export const LABEL = "codex-review";
export const MAINTAINER = "maintainer";
const OWNER = "example-org";

/** The real signer, reader, check and publisher against a stand-in for GitHub, without any machine. */
export interface GitHubBench {
  readonly github: FakeGitHub;
  readonly signer: Signer;
  readonly app: GitHubApp;
  readonly reader: PullRequestReader;
  readonly recheck: RecheckRun;
  /** One that remembers nothing, as after a restart. */
  publisher(answerOf: (run: Run) => string | null): Promise<Publisher>;
  /** A labelled pull request in a repository of its own, and the run that was asked for on it. */
  openRun(): Promise<{ run: Run; pull: PullView; origin: PullRequestOrigin }>;
  close(): Promise<void>;
}

/**
 * The same for tests that have no attack's context: what is started is theirs to close.
 *
 * @param urlOf As for openGitHub.
 */
export async function openGitHubAlone(
  urlOf?: Parameters<typeof openGitHub>[1],
): Promise<{ bench: GitHubBench; close: () => Promise<void> }> {
  const { context, close } = createContext({ seed: 1, isShort: true });
  return { bench: await openGitHub(context, urlOf), close };
}

/** @param urlOf Where the API is asked for, if not at the stand-in itself. */
export async function openGitHub(
  context: AttackContext,
  urlOf: (github: FakeGitHub) => Promise<string> = async (github) => github.url,
): Promise<GitHubBench> {
  const github = await createFakeGitHub({ webhookSecret: "not-a-secret" });
  const url = await urlOf(github);
  const { log } = createLog({ level: "silent" });
  const clock = { now: () => Date.now() };
  const key = createPemAppKey(github.privateKeyPem ?? "");
  const folder = join(await context.folder(), "signer");
  const core = await openSigner({ folder, url, appId: github.appId, key, clock, log });
  const signer = core.forSession("attack");
  const app = appOf(signer, url, log);
  const reader = createPullRequestReader(app);
  const recheck = createRecheckRun(reader);
  let repositories = 0;
  const close = context.atEnd(async () => {
    await core.close();
    await github.close();
  });
  return {
    github,
    signer,
    app,
    reader,
    recheck,
    close,
    async publisher(answerOf) {
      const redis = await context.redis();
      return createPublisher({
        app,
        facts: async (run) => {
          const { result, machines, spend } = reportInput(answerOf(run));
          return { result, machines, spend };
        },
        stickies: createStickyStore({ redis: redis.redis, prefix: redis.prefix() }),
        content: { used: async () => 0, add: async () => undefined },
        recheck,
        loadRun: async () => null,
        readEvents: async () => [],
        listLiveRuns: async () => [],
        githubHost: "github.com",
        findSecrets: async (texts) => texts.flatMap((text) => findSecrets(text, [])),
        clock,
        log,
      });
    },
    async openRun() {
      repositories += 1;
      const files = { "README.md": "# Shelf\n", [`.github/codex/labels/${LABEL}.md`]: "Review this.\n" };
      const made = await github.createRepository({ owner: OWNER, name: `shelf-${repositories}`, files });
      github.setRole(made.fullName, "author", "write");
      github.setRole(made.fullName, MAINTAINER, "maintain");
      const pull = await github.openPullRequest({
        repo: made.fullName,
        title: "Say more",
        author: "author",
        head: { files: { "README.md": "# Shelf\n\nMore.\n" } },
      });
      await github.addLabel(pull, LABEL, { by: MAINTAINER });
      const origin: PullRequestOrigin = {
        kind: "pull_request",
        delivery: `d-${repositories}` as PullRequestOrigin["delivery"],
        installation: made.installationId ?? 0,
        repository: { id: made.id, owner: OWNER, name: `shelf-${repositories}` },
        number: pull.number,
        label: LABEL,
        actor: { id: 7, login: MAINTAINER, type: "User" },
        role: "maintain",
        head: pull.headSha,
        base: pull.baseSha,
        fork: false,
      };
      const now = clock.now();
      const task = defaultTask(LABEL, "gpt-5.5");
      const request = { origin, requestedAt: now, task, taskDigest: null, prompt: "Review this." };
      return { run: requestRun({ id: randomIds.run(now), request, now }), pull, origin };
    },
  };
}

/** As the service's own, but that its client does not wait between requests, as one that GitHub limits must. */
function appOf(signer: Signer, url: string, log: ReturnType<typeof createLog>["log"]): GitHubApp {
  const withToken: GitHubApp["withToken"] = async (purpose, place, use) => {
    const { token } = await signer.mint(mintRequestOf(purpose, place));
    try {
      return await namingFaults(() => use(token));
    } finally {
      await signer.revoke(token);
    }
  };
  return {
    asApp: (use) => use({ request: (route, parameters) => signer.asApp(route, parameters) }),
    withToken,
    withClient: (purpose, place, use) =>
      withToken(purpose, place, (token) => use(new Octokit({ ...octokitOptions({ url, log }), auth: token }))),
    identity: async () => (await signer.asApp("GET /app", {})).data,
    onWrite: () => undefined,
  };
}

export const MACHINE = "mch_01kq3v9d5e9876543210" as MachineId;

/** The layout of source that holds this head alone. */
function layoutOf({ head, base }: PullRequestOrigin): SourceLayout {
  return { head, base, merge_base: base, shallow: [], pack_bytes: 1, pack_sha256: "0".repeat(64) };
}

/** Everything that happens to a run whose machine does what it should, up to its publication. */
export function eventsUntilPublishing(origin: PullRequestOrigin): RunEvent[] {
  const report = {
    safety_strategy: "unprivileged-user" as const,
    checks: [{ name: "identity", ok: true, seen: "uid 1001" }],
  };
  const { result } = reportInput("All is well.");
  if (result === null) {
    throw new Error("the fixture has a result");
  }
  return [
    { type: "source_prepared", layout: layoutOf(origin) },
    { type: "claimed", machine: MACHINE, capabilityHash: "e".repeat(64) },
    { type: "step", step: "source_ready", machine: MACHINE },
    { type: "gate_passed", report, machine: MACHINE },
    { type: "key_lent", hash: "f".repeat(64), machine: MACHINE },
    { type: "step", step: "codex_started", machine: MACHINE },
    { type: "step", step: "codex_exited", machine: MACHINE },
    { type: "frozen", machine: MACHINE },
    {
      type: "result",
      frame: { kind: "result", epoch: 1, result },
      digest: `sha256:${"d".repeat(64)}` as Digest,
      machine: MACHINE,
    },
    {
      type: "machine_gone",
      machine: MACHINE,
      evidence: { at: Date.now(), checks: [{ what: "process", absent: true }] },
    },
  ];
}

/** The run after these events, as the state machine says. */
export function after(run: Run, events: readonly RunEvent[]): Run {
  return events.reduce((now, event) => decideRun(now, event, Date.now()).run, run);
}
