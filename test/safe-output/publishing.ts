import {
  type AgentEvent,
  findSecrets,
  type PullRequestOrigin,
  type Result,
  type Run,
  type RunEvent,
  type RunFacts,
  type SecretHit,
} from "@mayfly/core";
import type { GitHubApp, GitHubClient } from "../../apps/orchestrator/src/github/app.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { createPublisher, type Publisher } from "../../apps/orchestrator/src/publish/publisher.ts";
import type { ShownResults, StickyStore } from "../../apps/orchestrator/src/store/stickies.ts";
import { reportInput } from "../../packages/core/src/render/run.fixture.ts";
import { after, eventsUntilPublishing, type GitHubBench } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";

/** A credential that every publisher here looks for. */
export const SECRET = "hunter2hunter2hunter2";

interface Request {
  readonly route: string;
  readonly parameters: Record<string, unknown>;
}

/** The real publisher against the stand-in for GitHub; what it asks for is written down. */
export function publisherOf(
  bench: GitHubBench,
  facts: (run: Run) => RunFacts,
  options: {
    findSecrets?: (texts: readonly string[]) => Promise<readonly SecretHit[]>;
    /** What the installation has written in this hour. */
    contentUsed?: () => number;
    now?: () => number;
    /** A run there is a record of. */
    earlier?: Run;
    stickies?: StickyStore;
    /** What the agent told while the run went on. */
    events?: AgentEvent[];
  } = {},
): { publisher: Publisher; requests: Request[]; log: () => string } {
  const requests: Request[] = [];
  const lines: string[] = [];
  const { log } = createLog({ level: "info", write: (line) => void lines.push(line) });
  const app: GitHubApp = {
    ...bench.app,
    withClient: (purpose, place, use) =>
      bench.app.withClient(purpose, place, (client) => {
        const request = (route: string, parameters: Record<string, unknown>) => {
          requests.push({ route, parameters });
          return client.request(route, parameters);
        };
        return use({ request, graphql: client.graphql } as unknown as GitHubClient);
      }),
  };
  const publisher = createPublisher({
    app,
    facts: async (run) => facts(run),
    stickies: options.stickies ?? createStickies(),
    content: { used: async () => options.contentUsed?.() ?? 0, add: async () => undefined },
    recheck: bench.recheck,
    loadRun: async (id) => (options.earlier?.id === id ? { value: options.earlier, version: 1 } : null),
    readEvents: async () => options.events ?? [],
    listLiveRuns: async () => [],
    githubHost: "github.com",
    findSecrets: options.findSecrets ?? (async (texts) => texts.flatMap((text) => findSecrets(text, [SECRET]))),
    clock: { now: options.now ?? (() => Date.now()) },
    log,
  });
  return { publisher, requests, log: () => lines.join("") };
}

/** What is known of comments, in memory. */
export function createStickies(): StickyStore {
  const comments = new Map<string, number>();
  const results = new Map<string, ShownResults>();
  return {
    get: async (name) => comments.get(name) ?? null,
    set: async (name, comment) => void comments.set(name, comment),
    results: async (name) => results.get(name) ?? null,
    setResults: async (name, shown) => void results.set(name, shown),
  };
}

/** The fixture's facts with another result. */
export function factsOf(change: (result: Result) => Result): RunFacts {
  const { result, machines, spend } = reportInput("All is well.");
  if (result === null) {
    throw new Error("the fixture has a result");
  }
  return { result: change(result), machines, spend };
}

/** The fixture's facts with that answer. */
export const saying = (text: string) => (): RunFacts =>
  factsOf((result) => ({ ...result, final_message: { state: "present", text } }));

/** A run of a pull request of its own whose machine has answered and is gone. */
export async function ready(
  bench: GitHubBench,
  change: (event: RunEvent) => RunEvent = (event) => event,
): Promise<{ run: Run; pull: PullView; origin: PullRequestOrigin }> {
  const { run, pull, origin } = await bench.openRun();
  return { run: after(run, eventsUntilPublishing(origin).map(change)), pull, origin };
}

/** All words on a pull request, and those of its checks. */
export function shownOn(bench: GitHubBench, pull: PullView): string {
  const { comments, checkRuns } = bench.github.pullRequest(pull);
  return JSON.stringify([comments.map(({ body }) => body), checkRuns.map(({ output }) => output)]);
}
