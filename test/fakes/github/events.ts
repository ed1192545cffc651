/** Builds the payloads of webhooks and hands them to the delivery log, checking each against GitHub's description. */
import { send } from "./deliveries.ts";
import { changesBetween, countBetween, mergeBase } from "./git-history.ts";
import { gitText } from "./git-store.ts";
import { checkRunShape, commentShape, fullPullShape, issueShape, minimalPulls } from "./pull-shapes.ts";
import type { PullSize } from "./pull-shapes.ts";
import {
  appIdentity,
  installationShape,
  nodeId,
  repositoryShape,
  repositoryUrl,
  simpleInstallation,
  userShape,
} from "./shapes.ts";
import type { Json } from "./shapes.ts";
import { fullNameOf, installationOf, isoTime } from "./world.ts";
import type { CheckRun, Comment, Installation, Pull, Repository, User, World } from "./world.ts";

/** GitHub's stamps have whole seconds, and no person does two things to a pull request within one. */
const SECOND_MS = 1000;

/** Sends `pull_request.<action>`. */
export async function emitPull(
  world: World,
  pull: Pull,
  event: { action: string; sender: User; more?: Json },
): Promise<void> {
  const size = await pullSize(pull);
  emit(world, pull.repository, {
    event: "pull_request",
    action: event.action,
    sender: event.sender,
    more: { number: pull.number, pull_request: fullPullShape(world, pull, size), ...event.more },
  });
}

/** Sends `issue_comment.<action>`. */
export function emitComment(
  world: World,
  event: { action: string; pull: Pull; comment: Comment; sender: User; more?: Json },
): void {
  emit(world, event.pull.repository, {
    event: "issue_comment",
    action: event.action,
    sender: event.sender,
    more: {
      issue: issueShape(world, event.pull),
      comment: commentShape(world, event.pull.repository, event.comment),
      ...event.more,
    },
  });
}

/** Sends `check_run.<action>`. */
export function emitCheckRun(
  world: World,
  event: { action: string; repository: Repository; run: CheckRun; sender: User; more?: Json },
): void {
  const { repository, run } = event;
  const shape = checkRunShape(world, repository, run);
  const suiteUrl = `${repositoryUrl(world, repository)}/check-suites/${run.suiteId}`;
  emit(world, repository, {
    event: "check_run",
    action: event.action,
    sender: event.sender,
    more: { check_run: { ...shape, check_suite: suiteShape(world, repository, run, suiteUrl) }, ...event.more },
  });
}

/** Sends `check_suite.<action>`, about all of the App's check runs on a commit. */
export async function emitCheckSuite(
  world: World,
  event: { action: string; repository: Repository; sha: string; sender: User },
): Promise<void> {
  const { repository, sha } = event;
  const runs = [...repository.checkRuns.values()].filter(({ headSha }) => headSha === sha);
  const [first] = runs;
  if (first === undefined) {
    throw new Error(`the App has no check run on ${sha}`);
  }
  const [tree = "", author = "", email = "", date = "", message = ""] = (
    await gitText(repository.directory, ["show", "-s", "--format=%T%n%an%n%ae%n%aI%n%s", sha])
  ).split("\n");
  const person = { name: author, email };
  const url = `${repositoryUrl(world, repository)}/check-suites/${first.suiteId}`;
  const open = runs.find(({ status }) => status !== "completed");
  const shape = suiteShape(world, repository, open ?? runs.at(-1) ?? first, url);
  const changed = runs.map(({ startedAt, completedAt }) => Math.max(startedAt ?? 0, completedAt ?? 0));
  emit(world, repository, {
    event: "check_suite",
    action: event.action,
    sender: event.sender,
    more: {
      check_suite: {
        ...shape,
        updated_at: isoTime(Math.max(...changed)),
        latest_check_runs_count: new Set(runs.map(({ name }) => name)).size,
        check_runs_url: `${url}/check-runs`,
        head_commit: { id: sha, tree_id: tree, message, timestamp: date, author: person, committer: person },
      },
    },
  });
}

/** Sends `installation.<action>` or `installation_repositories.<action>`, which every App gets unasked. */
export function emitInstallation(
  world: World,
  installation: Installation,
  event: {
    event: "installation" | "installation_repositories";
    action: string;
    sender: User;
    repositories: readonly Repository[];
  },
): void {
  const repositories = event.repositories.map((repository) => ({
    id: repository.id,
    node_id: nodeId("R", repository.id),
    name: repository.name,
    full_name: fullNameOf(repository),
    private: repository.private,
  }));
  const changed =
    event.event === "installation"
      ? { repositories }
      : { repositories_added: repositories, repositories_removed: [], repository_selection: "all", requester: null };
  const payload = {
    action: event.action,
    installation: installationShape(world, installation),
    ...changed,
    sender: userShape(world, event.sender),
  };
  deliver(world, {
    event: event.event,
    action: event.action,
    installationId: installation.id,
    repositoryId: null,
    payload,
  });
}

/** Sends `ping`, as GitHub does when a webhook is set up. */
export function emitPing(world: World): void {
  const at = isoTime(world.now());
  const hook = {
    type: "App",
    id: world.app.id + 1,
    name: "web",
    active: true,
    events: world.app.events,
    config: { content_type: "json", insecure_ssl: "0", secret: "********", url: world.webhook.url ?? "" },
    updated_at: at,
    created_at: at,
    app_id: world.app.id,
    deliveries_url: `${world.url}/app/hook/deliveries`,
  };
  const payload = { zen: "Keep it logically awesome.", hook_id: hook.id, hook };
  deliver(world, { event: "ping", action: null, installationId: null, repositoryId: null, payload });
}

/** Advances `updated_at`; two acts never share a stamp. */
export function touch(world: World, thing: { updatedAt: number }): void {
  thing.updatedAt = Math.max(world.now(), thing.updatedAt + SECOND_MS);
}

/** What a pull request changes, counted from its merge base. */
export async function pullSize(pull: Pull): Promise<PullSize> {
  const { directory } = pull.repository;
  const base = await mergeBase(directory, pull.base.sha, pull.head.sha);
  const changes = await changesBetween(directory, base, pull.head.sha);
  return {
    commits: await countBetween(directory, pull.base.sha, pull.head.sha),
    additions: changes.reduce((sum, change) => sum + change.additions, 0),
    deletions: changes.reduce((sum, change) => sum + change.deletions, 0),
    changedFiles: changes.length,
  };
}

interface RepositoryEvent {
  readonly event: string;
  readonly action: string;
  readonly sender: User;
  readonly more: Json;
}

/** An App hears only of repositories it is installed on, and only the events it asked for. */
function emit(world: World, repository: Repository, event: RepositoryEvent): void {
  const installation = installationOf(world, repository);
  // Check suites come to whoever may write checks, asked for or not.
  const isHeard =
    event.event === "check_suite"
      ? installation?.permissions.checks === "write"
      : world.app.events.includes(event.event);
  if (installation === undefined || !isHeard) {
    return;
  }
  const payload = {
    action: event.action,
    ...event.more,
    repository: repositoryShape(world, repository),
    ...(repository.owner.type === "Organization" ? { organization: organizationShape(world, repository.owner) } : {}),
    sender: userShape(world, event.sender),
    installation: simpleInstallation(world, repository),
  };
  deliver(world, { ...event, installationId: installation.id, repositoryId: repository.id, payload });
}

function deliver(
  world: World,
  event: {
    event: string;
    action: string | null;
    installationId: number | null;
    repositoryId: number | null;
    payload: Json;
  },
): void {
  const name = event.action === null ? event.event : `${event.event}.${event.action}`;
  world.contractViolations.push(...world.contract.webhook(name, event.payload));
  send(world, event);
}

function organizationShape(world: World, owner: User): Json {
  const url = `${world.url}/orgs/${owner.login}`;
  return {
    login: owner.login,
    id: owner.id,
    node_id: nodeId("O", owner.id),
    url,
    repos_url: `${url}/repos`,
    events_url: `${url}/events`,
    hooks_url: `${url}/hooks`,
    issues_url: `${url}/issues`,
    members_url: `${url}/members{/member}`,
    public_members_url: `${url}/public_members{/member}`,
    avatar_url: `${world.url}/avatars/u/${owner.id}?v=4`,
    description: null,
  };
}

function suiteShape(world: World, repository: Repository, run: CheckRun, url: string): Json {
  const pull = [...repository.pulls.values()].find((candidate) => candidate.head.sha === run.headSha);
  const at = isoTime(world.now());
  return {
    id: run.suiteId,
    node_id: nodeId("CS", run.suiteId),
    // GitHub knows no head branch for commits that only a fork has.
    head_branch: pull?.headRepository === repository ? pull.head.ref : null,
    head_sha: run.headSha,
    status: run.status,
    conclusion: run.conclusion,
    url,
    before: null,
    after: null,
    pull_requests: minimalPulls(world, repository, run.headSha),
    app: appIdentity(world, world.app),
    created_at: at,
    updated_at: at,
  };
}
