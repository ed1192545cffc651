import type { PullRequestOrigin, RenderedCheck, Repository, Run } from "@mayfly/core";
import { type GitHubClient, MAKE_ONCE } from "../github/app.ts";

/** What GitHub takes at once (REST: create a check run); more are added by updates. */
const ANNOTATIONS_AT_ONCE = 50;

/** One check run of ours on one commit, known by what GitHub keeps as `external_id`. */
export interface OwnCheck {
  readonly repository: Repository;
  readonly head: string;
  readonly name: string;
  readonly externalId: string;
}

/** The run's one check run on the approved commit. */
export function checkOf({ id }: Run, { repository, head, label }: PullRequestOrigin): OwnCheck {
  return { repository, head, name: `mayfly / ${label}`, externalId: id };
}

/**
 * The check run says this now. Of its annotations, which GitHub only ever adds to, those after the ones that are there.
 * Idempotent.
 */
export async function ensureCheckRun(options: {
  client: GitHubClient;
  appId: number;
  check: OwnCheck;
  content: RenderedCheck;
}): Promise<{ id: number; url: string | null }> {
  const { content } = options;
  const known = await find(options);
  const annotations = content.annotations ?? [];
  let made = await write(options, known, annotations.slice(known?.annotations ?? 0).slice(0, ANNOTATIONS_AT_ONCE));
  while (made.annotations < annotations.length) {
    const next = annotations.slice(made.annotations, made.annotations + ANNOTATIONS_AT_ONCE);
    made = await write(options, made, next);
  }
  return { id: made.id, url: made.url };
}

/** A check run as GitHub has it. */
interface KnownCheck {
  readonly id: number;
  readonly annotations: number;
  readonly hasText: boolean;
}

async function write(
  { client, check, content }: { client: GitHubClient; check: OwnCheck; content: RenderedCheck },
  known: KnownCheck | null,
  annotations: NonNullable<RenderedCheck["annotations"]>,
): Promise<KnownCheck & { url: string | null }> {
  const where = { owner: check.repository.owner, repo: check.repository.name };
  const { title, summary, text = known?.hasText === true ? "" : undefined } = content;
  const state =
    content.conclusion === null
      ? { status: content.status }
      : { status: "completed" as const, conclusion: content.conclusion };
  const actions = content.actions?.map((action) => ({ ...action })) ?? [];
  const added = annotations.map((annotation) => ({ ...annotation }));
  const said = {
    ...where,
    ...state,
    output: {
      title,
      summary,
      ...(text === undefined ? {} : { text }),
      ...(added.length === 0 ? {} : { annotations: added }),
    },
    ...(actions.length === 0 ? {} : { actions }),
    // Sent twice, annotations are there twice.
    ...(known === null || added.length > 0 ? { request: MAKE_ONCE } : {}),
  };
  const { data } =
    known === null
      ? await client.request("POST /repos/{owner}/{repo}/check-runs", {
          ...said,
          name: check.name,
          head_sha: check.head,
          external_id: check.externalId,
        })
      : await client.request("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}", {
          ...said,
          check_run_id: known.id,
        });
  const there = (known?.annotations ?? 0) + added.length;
  return { id: Number(data.id), url: data.html_url, annotations: there, hasText: text !== undefined && text !== "" };
}

async function find(options: { client: GitHubClient; appId: number; check: OwnCheck }): Promise<KnownCheck | null> {
  const { client, appId, check } = options;
  const { data } = await client.request("GET /repos/{owner}/{repo}/commits/{ref}/check-runs", {
    owner: check.repository.owner,
    repo: check.repository.name,
    ref: check.head,
    check_name: check.name,
    app_id: appId,
    filter: "all",
    per_page: 100,
  });
  const mine = data.check_runs.find(({ external_id: id }) => id === check.externalId);
  return mine === undefined
    ? null
    : { id: Number(mine.id), annotations: mine.output.annotations_count, hasText: (mine.output.text ?? "") !== "" };
}
