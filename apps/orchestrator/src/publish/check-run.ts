import type { PullRequestOrigin, RenderedCheck, Run } from "@mayfly/core";
import { type GitHubClient, MAKE_ONCE } from "../github/app.ts";

/**
 * The run's one check run on the approved commit says this now. It is found by the run's id, which GitHub keeps as
 * `external_id`. Idempotent.
 */
export async function ensureCheckRun(options: {
  client: GitHubClient;
  appId: number;
  run: Run;
  origin: PullRequestOrigin;
  content: RenderedCheck;
}): Promise<{ id: number; url: string | null }> {
  const { client, run, origin, content } = options;
  const where = { owner: origin.repository.owner, repo: origin.repository.name };
  const output = { title: content.title, summary: content.summary };
  const state =
    content.conclusion === null
      ? { status: content.status }
      : { status: "completed" as const, conclusion: content.conclusion };
  const known = await find(options);
  const { data } =
    known === null
      ? await client.request("POST /repos/{owner}/{repo}/check-runs", {
          ...where,
          ...state,
          name: nameOf(origin),
          head_sha: origin.head,
          external_id: run.id,
          output,
          request: MAKE_ONCE,
        })
      : await client.request("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}", {
          ...where,
          ...state,
          check_run_id: known,
          output,
        });
  return { id: Number(data.id), url: data.html_url };
}

async function find(options: {
  client: GitHubClient;
  appId: number;
  run: Run;
  origin: PullRequestOrigin;
}): Promise<number | null> {
  const { client, appId, run, origin } = options;
  const { data } = await client.request("GET /repos/{owner}/{repo}/commits/{ref}/check-runs", {
    owner: origin.repository.owner,
    repo: origin.repository.name,
    ref: origin.head,
    check_name: nameOf(origin),
    app_id: appId,
    filter: "all",
    per_page: 100,
  });
  const mine = data.check_runs.find(({ external_id: id }) => id === run.id);
  return mine === undefined ? null : Number(mine.id);
}

function nameOf(origin: PullRequestOrigin): string {
  return `mayfly / ${origin.label}`;
}
