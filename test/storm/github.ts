import { AppError } from "@mayfly/core";
import type { GitHubApp, GitHubClient } from "../../apps/orchestrator/src/github/app.ts";
import type { Chance } from "../fakes/ec2/chance.ts";
import type { Life } from "./life.ts";

const APP_ID = 1;
const MARKER = /^<!-- mayfly:run=(run_\w+) -->/;

/** Pull requests as far as the service looks at them, each with what was put on it. In memory: nothing waits. */
export interface StormGitHub {
  addPullRequest(number: number, pull: { head: string; label: string }): void;
  /** GitHub as one life of the service sees it. */
  appFor(life: Life): GitHubApp;
  /** How often a comment and a check run were made for each run. */
  made(run: string): { readonly comments: number; readonly checks: number };
}

interface Pull {
  readonly head: string;
  readonly labels: Set<string>;
}
interface Comment {
  readonly id: number;
  readonly issue: number;
  body: string;
}
interface Check {
  readonly id: number;
  readonly externalId: string;
  readonly head: string;
}
/** Parameters of the routes below; each uses a few. */
interface Asked {
  readonly pull_number: number;
  readonly issue_number: number;
  readonly comment_id: number;
  readonly check_run_id: number;
  readonly ref: string;
  readonly name: string;
  readonly body: string;
  readonly head_sha: string;
  readonly external_id: string;
}

type Made = Map<string, { comments: number; checks: number }>;
type Routes = Readonly<Record<string, (asked: Asked) => unknown>>;

/**
 * @param options.lostReplies How often an answer gets lost, after the effect or before it.
 * @param options.isForgetful Bent: what was made is not found again.
 */
export function createStormGitHub(options: { chance: Chance; lostReplies: number; isForgetful: boolean }): StormGitHub {
  const { chance, lostReplies, isForgetful } = options;
  const pulls = new Map<number, Pull>();
  const made: Made = new Map();
  const ids = createCounter();
  const routes: Routes = {
    ...pullRoutes(pulls),
    ...checkRoutes({ made, ids, isForgetful }),
    ...commentRoutes({ made, ids, isForgetful }),
  };

  async function request(route: string, asked: Asked): Promise<{ data: unknown }> {
    const answer = routes[route];
    if (answer === undefined) {
      throw new Error(`the storm's GitHub does not know ${route}`);
    }
    const isLost = chance.happens(lostReplies);
    if (isLost && chance.happens(0.5)) {
      throw new AppError("GITHUB_UNAVAILABLE", "the call was lost");
    }
    const data = answer(asked);
    if (isLost) {
      throw new AppError("GITHUB_UNAVAILABLE", "the answer was lost");
    }
    return { data };
  }

  return {
    addPullRequest: (number, { head, label }) => void pulls.set(number, { head, labels: new Set([label]) }),
    made: (run) => made.get(run) ?? { comments: 0, checks: 0 },
    appFor: (life) => ({
      asApp: () => Promise.reject(new AppError("GITHUB_UNAVAILABLE", "the storm has no deliveries")),
      withToken: () => Promise.reject(new AppError("GITHUB_UNAVAILABLE", "the storm lends no tokens")),
      identity: async () => ({ id: APP_ID, slug: "mayfly" }),
      onWrite: () => undefined,
      withClient: (_purpose, _place, use) =>
        use({
          request: (route: string, asked: Asked) => life.ask(() => request(route, asked)),
        } as unknown as GitHubClient),
    }),
  };
}

interface Shelf {
  readonly made: Made;
  readonly ids: () => number;
  readonly isForgetful: boolean;
}

function pullRoutes(pulls: ReadonlyMap<number, Pull>): Routes {
  const pullOf = (number: number): Pull => pulls.get(number) ?? refuse(404, "Not Found");
  return {
    "GET /repos/{owner}/{repo}/pulls/{pull_number}": ({ pull_number }) => {
      const { head, labels } = pullOf(pull_number);
      return {
        state: "open",
        head: { sha: head },
        base: { ref: "main" },
        labels: [...labels].map((name) => ({ name })),
      };
    },
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission": () => ({ role_name: "write" }),
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}": ({ issue_number, name }) =>
      pullOf(issue_number).labels.delete(name) ? {} : refuse(404, "Label does not exist"),
  };
}

function checkRoutes({ made, ids, isForgetful }: Shelf): Routes {
  const checks: Check[] = [];
  return {
    "GET /repos/{owner}/{repo}/commits/{ref}/check-runs": ({ ref }) => ({
      check_runs: checks
        .filter(({ head }) => head === ref && !isForgetful)
        .map(({ id, externalId }) => ({ id, external_id: externalId, output: { text: null, annotations_count: 0 } })),
    }),
    "POST /repos/{owner}/{repo}/check-runs": ({ head_sha, external_id }) => {
      const check = { id: ids(), externalId: external_id, head: head_sha };
      checks.push(check);
      count(made, external_id, "checks");
      return { id: check.id, html_url: "https://example.com/check" };
    },
    "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}": ({ check_run_id }) => {
      const check = checks.find(({ id }) => id === check_run_id) ?? refuse(404, "Not Found");
      return { id: check.id, html_url: "https://example.com/check" };
    },
  };
}

function commentRoutes({ made, ids, isForgetful }: Shelf): Routes {
  const comments = new Map<number, Comment>();
  return {
    "GET /repos/{owner}/{repo}/issues/{issue_number}/comments": ({ issue_number }) =>
      [...comments.values()]
        .filter(({ issue }) => issue === issue_number && !isForgetful)
        .map(({ id, body }) => ({ id, body, performed_via_github_app: { id: APP_ID } })),
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments": ({ issue_number, body }) => {
      const comment = { id: ids(), issue: issue_number, body };
      comments.set(comment.id, comment);
      count(made, MARKER.exec(body)?.[1] ?? "", "comments");
      return { id: comment.id, html_url: "https://example.com/comment" };
    },
    "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}": ({ comment_id, body }) => {
      const comment = comments.get(comment_id) ?? refuse(404, "Not Found");
      comment.body = body;
      return { id: comment.id, html_url: "https://example.com/comment" };
    },
  };
}

function count(made: Made, run: string, kind: "comments" | "checks"): void {
  const counts = made.get(run) ?? { comments: 0, checks: 0 };
  counts[kind] += 1;
  made.set(run, counts);
}

function createCounter(): () => number {
  let last = 0;
  return () => (last += 1);
}

function refuse(status: number, message: string): never {
  throw Object.assign(new Error(message), { status });
}
