/** Check runs. */
import { emitCheckRun } from "./events.ts";
import { resolveCommit } from "./git-store.ts";
import { fieldIn, GitHubRefusal, invalid, notFound, page, stringIn } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import { checkRunShape } from "./pull-shapes.ts";
import type { Route } from "./router.ts";
import { appBot } from "./world.ts";
import type { CheckRun } from "./world.ts";

/** Limits of a check run's button; the description does not state the second. */
const ACTIONS_MAX = 3;
const ACTION_DESCRIPTION_CHARACTERS_MAX = 40;
const BASE = "/repos/{owner}/{repo}/check-runs";

export const checkRoutes: readonly Route[] = [
  { method: "POST", path: BASE, auth: "installation", needs: ["checks:write"], handle: createRun },
  { method: "GET", path: `${BASE}/{check_run_id}`, auth: "installation", needs: ["checks:read"], handle: showRun },
  { method: "PATCH", path: `${BASE}/{check_run_id}`, auth: "installation", needs: ["checks:write"], handle: updateRun },
  {
    method: "GET",
    path: "/repos/{owner}/{repo}/commits/{ref}/check-runs",
    auth: "installation",
    needs: ["checks:read"],
    handle: listForRef,
  },
];

async function createRun({ world, repository, body }: Context): Promise<Reply> {
  const headSha = stringIn(body, "head_sha") ?? "";
  if ((await resolveCommit(repository.directory, headSha)) !== headSha) {
    throw new GitHubRefusal(422, `No commit found for SHA: ${headSha}`);
  }
  const run: CheckRun = {
    id: world.nextId(),
    // An App has one suite on a commit.
    suiteId: [...repository.checkRuns.values()].find((other) => other.headSha === headSha)?.suiteId ?? world.nextId(),
    headSha,
    name: "",
    externalId: "",
    detailsUrl: null,
    status: "queued",
    conclusion: null,
    startedAt: world.now(),
    completedAt: null,
    output: { title: null, summary: null, text: null, annotations: [] },
    actions: [],
  };
  apply(run, body, world.now());
  repository.checkRuns.set(run.id, run);
  emitCheckRun(world, { action: "created", repository, run, sender: appBot(world) });
  if (run.status === "completed") {
    emitCheckRun(world, { action: "completed", repository, run, sender: appBot(world) });
  }
  return { status: 201, body: checkRunShape(world, repository, run) };
}

function showRun(context: Context): Reply {
  return { status: 200, body: checkRunShape(context.world, context.repository, find(context)) };
}

function updateRun(context: Context): Reply {
  const { world, repository, body } = context;
  const run = find(context);
  const wasCompleted = run.status === "completed";
  apply(run, body, world.now());
  if (run.status === "completed" && !wasCompleted) {
    emitCheckRun(world, { action: "completed", repository, run, sender: appBot(world) });
  }
  return { status: 200, body: checkRunShape(world, repository, run) };
}

async function listForRef(context: Context): Promise<Reply> {
  const { world, repository, params, query } = context;
  const sha = await resolveCommit(repository.directory, params.ref ?? "");
  if (sha === undefined) {
    throw new GitHubRefusal(422, `No commit found for SHA: ${params.ref ?? ""}`);
  }
  const name = query.get("check_name");
  const status = query.get("status");
  const appId = query.get("app_id");
  const found = [...repository.checkRuns.values()]
    .filter((run) => run.headSha === sha)
    .filter((run) => name === null || run.name === name)
    .filter((run) => status === null || run.status === status)
    .filter(() => appId === null || appId === String(world.app.id));
  // By default only the newest run of each name is listed.
  const latest = query.get("filter") === "all" ? found : [...new Map(found.map((run) => [run.name, run])).values()];
  const { items, headers } = page(context, latest);
  const body = { total_count: latest.length, check_runs: items.map((run) => checkRunShape(world, repository, run)) };
  return { status: 200, headers, body };
}

/** Changes a run as asked, or throws 422 and changes nothing. */
function apply(run: CheckRun, body: unknown, now: number): void {
  const conclusion = stringIn(body, "conclusion") ?? run.conclusion;
  const status = stringIn(body, "conclusion") === undefined ? (stringIn(body, "status") ?? run.status) : "completed";
  const actions = fieldIn(body, "actions") as CheckRun["actions"] | undefined;
  if (status === "completed" && conclusion === null) {
    throw invalid("CheckRun", "conclusion", "conclusion is required when status is completed");
  }
  requireActions(actions ?? []);
  const completed = status === "completed";
  run.status = status;
  run.conclusion = completed ? conclusion : null;
  run.completedAt = completed ? (timeIn(body, "completed_at") ?? run.completedAt ?? now) : null;
  run.startedAt = timeIn(body, "started_at") ?? run.startedAt;
  run.name = stringIn(body, "name") ?? run.name;
  run.externalId = stringIn(body, "external_id") ?? run.externalId;
  run.detailsUrl = stringIn(body, "details_url") ?? run.detailsUrl;
  run.actions = actions ?? run.actions;
  const output = fieldIn(body, "output");
  if (output === undefined) {
    return;
  }
  run.output = {
    title: stringIn(output, "title") ?? run.output.title,
    summary: stringIn(output, "summary") ?? run.output.summary,
    text: stringIn(output, "text") ?? run.output.text,
    // Annotations of an update are added to those before.
    annotations: [...run.output.annotations, ...((fieldIn(output, "annotations") ?? []) as unknown[])],
  };
}

function requireActions(actions: CheckRun["actions"]): void {
  if (actions.length > ACTIONS_MAX) {
    throw invalid("CheckRun", "actions", `at most ${ACTIONS_MAX} actions`);
  }
  const long = actions.some((action) => action.description.length > ACTION_DESCRIPTION_CHARACTERS_MAX);
  if (long) {
    throw invalid(
      "CheckRun",
      "actions",
      `description is too long (maximum is ${ACTION_DESCRIPTION_CHARACTERS_MAX} characters)`,
    );
  }
}

function timeIn(body: unknown, field: string): number | undefined {
  const text = stringIn(body, field);
  return text === undefined ? undefined : Date.parse(text);
}

function find({ repository, params }: Context): CheckRun {
  const run = repository.checkRuns.get(Number(params.check_run_id));
  if (run === undefined) {
    throw notFound();
  }
  return run;
}
