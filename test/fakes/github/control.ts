/** What people do on GitHub, for tests and the demo: every act sends the webhook that GitHub would send. */
import { addComment } from "./comments.ts";
import { emitCheckRun, emitCheckSuite, emitComment, emitInstallation, emitPing, touch } from "./events.ts";
import { commitFiles, copyRef, gitText, readFileAt, resolveCommit } from "./git-store.ts";
import type { Files } from "./git-store.ts";
import { addLabel, removeLabel } from "./labels.ts";
import { createRepository, ensureFork } from "./new-repository.ts";
import type { NewRepository } from "./new-repository.ts";
import { oddPullActs, oddRepositoryActs } from "./odd-acts.ts";
import { convertToDraft, followBranches, openPull, setPullState } from "./pull-requests.ts";
import { requirePull, requireRepository, requireRun, viewPull, viewRepository } from "./views.ts";
import type { PullRef, PullView, RepositoryView } from "./views.ts";
import { ensureUser } from "./world.ts";
import type { CheckRun, Pull, Repository, RoleName, User, World } from "./world.ts";

/** Where a head comes from: files on top of the base, or a branch of a git repository on this machine. */
export type HeadSource = { readonly files: Files } | { readonly gitDirectory: string; readonly branch: string };

interface NewPullRequest {
  /** `owner/name` of the base. */
  readonly repo: string;
  readonly title: string;
  readonly head: HeadSource;
  readonly branch?: string;
  readonly base?: string;
  readonly body?: string;
  readonly author: string;
  /** Owner of the fork that holds the branch; the fork is made if missing. */
  readonly fork?: string;
  readonly draft?: boolean;
  /** Epoch ms; by default now. */
  readonly pushedAt?: number;
}

interface Push {
  readonly files: Files;
  readonly message?: string;
  readonly by?: string;
  readonly pushedAt?: number;
}

export type Control = ReturnType<typeof createControl>;

/** Everything a person, or the demo in a person's place, can do. */
export function createControl(world: World) {
  return { ...repositoryActs(world), ...pullActs(world), ...checkActs(world) };
}

function repositoryActs(world: World) {
  return {
    /** Makes an account known. A login that ends in [bot] is a bot. */
    createUser(login: string, type?: User["type"]): Readonly<User> {
      return ensureUser(world, login, type);
    },
    createRepository: (from: NewRepository): Promise<RepositoryView> => createRepository(world, from),
    /** Gives a person a role in a repository. */
    setRole(repo: string, login: string, role: RoleName): void {
      requireRepository(world, repo).roles.set(ensureUser(world, login).login.toLowerCase(), role);
    },
    /** Commits to any branch, made from the default branch if missing. Returns the commit. */
    commit: (repo: string, branch: string, push: Push): Promise<string> =>
      commitTo(world, requireRepository(world, repo), branch, push),
    /** Sends `ping`. */
    ping: (): void => emitPing(world),
    ...oddRepositoryActs(world),
    /** Removes the App from an account: its tokens die. */
    uninstall(owner: string, by: { by: string } = { by: owner }): void {
      const installation = [...world.installations.values()].find(
        (found) => found.account.login.toLowerCase() === owner.toLowerCase(),
      );
      if (installation === undefined) {
        throw new Error(`the App is not installed on ${owner}`);
      }
      const repositories = [...installation.repositories];
      world.installations.delete(installation.id);
      emitInstallation(world, installation, {
        event: "installation",
        action: "deleted",
        sender: ensureUser(world, by.by),
        repositories,
      });
    },
    repository: (repo: string): RepositoryView => viewRepository(world, requireRepository(world, repo)),
    /** A file's bytes at a branch or commit; undefined when there is none. */
    async readFile(repo: string, ref: string, path: string): Promise<Buffer | undefined> {
      const { directory } = requireRepository(world, repo);
      const commit = await resolveCommit(directory, ref);
      return commit === undefined ? undefined : readFileAt(directory, commit, path);
    },
  };
}

function pullActs(world: World) {
  return {
    openPullRequest: (from: NewPullRequest): Promise<PullView> => openPullRequest(world, from),
    /** Commits on top of the head; sends `synchronize`. Returns the new head. */
    push: (pull: PullRef, push: Push): Promise<string> => pushTo(world, requirePull(world, pull), push),
    /** Replaces the head with one commit on the base; sends `synchronize`. Returns the new head. */
    forcePush(ref: PullRef, push: Push): Promise<string> {
      const pull = requirePull(world, ref);
      return pushTo(world, pull, push, pull.base.sha);
    },
    /** Replaces the head with one commit that has no parent; sends `synchronize`. Returns the new head. */
    forcePushUnrelated: (ref: PullRef, push: Push): Promise<string> =>
      pushTo(world, requirePull(world, ref), push, null),
    ...oddPullActs(world),
    addLabel: (pull: PullRef, label: string, { by }: { by: string }): Promise<void> =>
      addLabel(world, requirePull(world, pull), label, ensureUser(world, by)),
    removeLabel: (pull: PullRef, label: string, { by }: { by: string }): Promise<boolean> =>
      removeLabel(world, requirePull(world, pull), label, ensureUser(world, by)),
    closePullRequest(pull: PullRef, by?: { by: string }): Promise<void> {
      const found = requirePull(world, pull);
      return setPullState(world, found, {
        state: "closed",
        sender: by === undefined ? found.author : ensureUser(world, by.by),
      });
    },
    reopenPullRequest(pull: PullRef, { by }: { by: string }): Promise<void> {
      return setPullState(world, requirePull(world, pull), { state: "open", sender: ensureUser(world, by) });
    },
    convertToDraft: (pull: PullRef, { by }: { by: string }): Promise<void> =>
      convertToDraft(world, requirePull(world, pull), ensureUser(world, by)),
    /** Writes a comment; returns its id. */
    comment(pull: PullRef, body: string, { by }: { by: string }): number {
      return addComment(world, requirePull(world, pull), { body, by: ensureUser(world, by), viaApp: false }).id;
    },
    /** Comments on a line of the newest commit, as a review of its own. */
    commentOnLine(pull: PullRef, on: { path: string; line: number; body: string; by: string }): void {
      const found = requirePull(world, pull);
      const { path, line, body, by } = on;
      found.reviews.push({
        id: world.nextId(),
        body: "",
        state: "COMMENTED",
        commitId: found.head.sha,
        author: ensureUser(world, by),
        submittedAt: world.now(),
        comments: [{ id: world.nextId(), path, body, line, side: "RIGHT", startLine: null, minimizedReason: null }],
      });
    },
    /** From now on GitHub lists a line in the diff and refuses comments on it: its two views of a diff are not of one moment. */
    refuseLine(pull: PullRef, { path, line }: { path: string; line: number }): void {
      requirePull(world, pull).unresolvable.add(`${path}:${line}`);
    },
    /** Folds a comment on a line, as a person may. */
    foldComment(pull: PullRef, id: number): void {
      for (const comment of requirePull(world, pull).reviews.flatMap(({ comments }) => comments)) {
        comment.minimizedReason = comment.id === id ? "resolved" : comment.minimizedReason;
      }
    },
    /** Changes a comment as its author may; sends `edited`. */
    editComment(pull: PullRef, id: number, body: string, { by }: { by: string }): void {
      const found = requirePull(world, pull);
      const comment = found.repository.comments.get(id);
      if (comment === undefined) {
        throw new Error(`there is no comment ${id}`);
      }
      const from = comment.body;
      comment.body = body;
      touch(world, comment);
      emitComment(world, {
        action: "edited",
        pull: found,
        comment,
        sender: ensureUser(world, by),
        more: { changes: { body: { from } } },
      });
    },
    pullRequest: (pull: PullRef): PullView => viewPull(world, requirePull(world, pull)),
    /** All of a repository, by number. */
    pullRequests: (repo: string): PullView[] =>
      [...requireRepository(world, repo).pulls.values()].map((pull) => viewPull(world, pull)),
  };
}

function checkActs(world: World) {
  return {
    /** Presses a button of a check run; throws when the run has no such button. */
    requestCheckAction(repo: string, checkRunId: number, identifier: string, { by }: { by: string }): void {
      const { repository, run } = requireRun(world, repo, checkRunId);
      if (!run.actions.some((action) => action.identifier === identifier)) {
        throw new Error(`check run has no action ${identifier}`);
      }
      const more = { requested_action: { identifier } };
      emitCheckRun(world, { action: "requested_action", repository, run, sender: ensureUser(world, by), more });
    },
    /** Presses "Re-run" on a check run. */
    rerequestCheck(repo: string, checkRunId: number, { by }: { by: string }): void {
      const { repository, run } = requireRun(world, repo, checkRunId);
      emitCheckRun(world, { action: "rerequested", repository, run, sender: ensureUser(world, by) });
    },
    /** Presses "Re-run all checks" on a commit; throws when the App has no check run there. */
    async rerequestAllChecks(repo: string, sha: string, { by }: { by: string }): Promise<void> {
      const repository = requireRepository(world, repo);
      await emitCheckSuite(world, { action: "rerequested", repository, sha, sender: ensureUser(world, by) });
    },
    /** Every check run of a repository, oldest first. */
    checkRuns: (repo: string): readonly Readonly<CheckRun>[] => [...requireRepository(world, repo).checkRuns.values()],
  };
}

async function openPullRequest(world: World, from: NewPullRequest): Promise<PullView> {
  const repository = requireRepository(world, from.repo);
  const author = ensureUser(world, from.author);
  const headRepository = from.fork === undefined ? repository : await ensureFork(world, repository, from.fork);
  const baseRef = from.base ?? repository.defaultBranch;
  const baseSha = await gitText(repository.directory, ["rev-parse", `refs/heads/${baseRef}`]);
  const headRef = from.branch ?? `change-${repository.nextNumber}`;
  const { directory } = headRepository;
  if ("files" in from.head) {
    if (headRepository !== repository) {
      await copyRef({
        from: repository.directory,
        fromRef: `refs/heads/${baseRef}`,
        to: directory,
        toRef: `refs/heads/${baseRef}`,
      });
    }
    const { files } = from.head;
    await commitFiles({
      directory,
      branch: headRef,
      parent: baseSha,
      files,
      message: from.title,
      author: from.author,
      at: world.now(),
    });
  } else {
    await copyRef({
      from: from.head.gitDirectory,
      fromRef: `refs/heads/${from.head.branch}`,
      to: directory,
      toRef: `refs/heads/${headRef}`,
    });
  }
  headRepository.pushedAt = from.pushedAt ?? world.now();
  const headSha = await gitText(directory, ["rev-parse", `refs/heads/${headRef}`]);
  const body = from.body ?? null;
  const draft = from.draft ?? false;
  const pull = await openPull(world, {
    repository,
    headRepository,
    headRef,
    headSha,
    baseRef,
    baseSha,
    title: from.title,
    body,
    author,
    draft,
  });
  return viewPull(world, pull);
}

function pushTo(world: World, pull: Pull, push: Push, parent: string | null = pull.head.sha): Promise<string> {
  return commitTo(world, pull.headRepository, pull.head.ref, { by: pull.author.login, ...push }, parent);
}

async function commitTo(
  world: World,
  repository: Repository,
  branch: string,
  push: Push,
  onto?: string | null,
): Promise<string> {
  const { directory, owner, defaultBranch } = repository;
  const author = push.by ?? owner.login;
  const tip = async () =>
    (await resolveCommit(directory, `refs/heads/${branch}`)) ??
    (await resolveCommit(directory, `refs/heads/${defaultBranch}`));
  const parent = onto === null ? undefined : (onto ?? (await tip()));
  const message = push.message ?? "Change";
  const sha = await commitFiles({ directory, branch, parent, files: push.files, message, author, at: world.now() });
  repository.pushedAt = push.pushedAt ?? world.now();
  await followBranches(world, repository, ensureUser(world, author));
  return sha;
}
