/** What people seldom do: rename, delete and retarget, suspend the App. Each sends the webhook that GitHub would send. */
import { emitInstallation, emitPull, touch } from "./events.ts";
import { gitText } from "./git-store.ts";
import { requirePull, requireRepository } from "./views.ts";
import type { PullRef } from "./views.ts";
import { ensureUser, findRepository, fullNameOf } from "./world.ts";
import type { Installation, World } from "./world.ts";

/** Odd acts on repositories and on whole accounts. */
export function oddRepositoryActs(world: World) {
  return {
    /** Gives a repository another name: what asks for the old one is led to the new. The App hears nothing of it. */
    renameRepository(repo: string, name: string): void {
      const repository = requireRepository(world, repo);
      if (findRepository(world, `${repository.owner.login}/${name}`) !== undefined) {
        throw new Error(`${repository.owner.login}/${name} exists`);
      }
      repository.formerNames.add(fullNameOf(repository).toLowerCase());
      repository.name = name;
    },
    /** Deletes a fork. Its pull requests stay open, with null where the fork stood. */
    deleteFork(repo: string): void {
      const repository = requireRepository(world, repo);
      if (repository.forkOf === undefined) {
        throw new Error(`${repo} is no fork`);
      }
      repository.isDeleted = true;
      world.repositories.delete(repository.id);
    },
    /** Suspends the App on an account: it gets no token and its tokens are refused until it is unsuspended. */
    suspend(owner: string): void {
      const installation = installationOn(world, owner);
      installation.suspended = { by: ensureUser(world, owner), at: world.now() };
      tell(world, installation, "suspend");
    },
    unsuspend(owner: string): void {
      const installation = installationOn(world, owner);
      installation.suspended = null;
      tell(world, installation, "unsuspend");
    },
  };
}

/** Odd acts on pull requests. */
export function oddPullActs(world: World) {
  return {
    /** Has a pull request go into another branch; sends `edited`. */
    async changeBase(ref: PullRef, branch: string, { by }: { by: string }): Promise<void> {
      const pull = requirePull(world, ref);
      const from = { ...pull.base };
      pull.base.ref = branch;
      pull.base.sha = await gitText(pull.repository.directory, ["rev-parse", `refs/heads/${branch}`]);
      touch(world, pull);
      const changes = { base: { ref: { from: from.ref }, sha: { from: from.sha } } };
      await emitPull(world, pull, { action: "edited", sender: ensureUser(world, by), more: { changes } });
    },
  };
}

function installationOn(world: World, owner: string): Installation {
  const found = [...world.installations.values()].find(
    ({ account }) => account.login.toLowerCase() === owner.toLowerCase(),
  );
  if (found === undefined) {
    throw new Error(`the App is not installed on ${owner}`);
  }
  return found;
}

function tell(world: World, installation: Installation, action: "suspend" | "unsuspend"): void {
  const { account: sender } = installation;
  emitInstallation(world, installation, {
    event: "installation",
    action,
    sender,
    repositories: [...installation.repositories],
  });
}
