/** Makes repositories and forks, and installs the App on them. */
import { join } from "node:path";
import { emitInstallation } from "./events.ts";
import { commitFiles, copyRef, createBareRepository } from "./git-store.ts";
import type { Files } from "./git-store.ts";
import { requireRepository, viewRepository } from "./views.ts";
import type { RepositoryView } from "./views.ts";
import { ensureUser, findRepository, fullNameOf } from "./world.ts";
import type { Installation, Repository, World } from "./world.ts";

export interface NewRepository {
  readonly owner: string;
  readonly name: string;
  readonly ownerType?: "User" | "Organization";
  readonly private?: boolean;
  readonly defaultBranch?: string;
  /** First commit of the default branch; without it there is a README. Not for forks. */
  readonly files?: Files;
  /** A branch of a git repository on this machine, with all its history, instead of files. */
  readonly history?: { readonly gitDirectory: string; readonly branch: string };
  /** Full name of the repository it is a fork of; it starts as a copy of the default branch. */
  readonly forkOf?: string;
  /** Whether the App is installed on it; by default on everything but forks. */
  readonly installed?: boolean;
}

export async function createRepository(world: World, from: NewRepository): Promise<RepositoryView> {
  const parent = from.forkOf === undefined ? undefined : requireRepository(world, from.forkOf);
  if (findRepository(world, `${from.owner}/${from.name}`) !== undefined) {
    throw new Error(`${from.owner}/${from.name} exists`);
  }
  const id = world.nextId();
  const now = world.now();
  const repository: Repository = {
    id,
    owner: ensureUser(world, from.owner, from.ownerType),
    name: from.name,
    formerNames: new Set(),
    isDeleted: false,
    private: from.private ?? parent?.private ?? false,
    forkOf: parent,
    defaultBranch: from.defaultBranch ?? parent?.defaultBranch ?? "main",
    directory: join(world.root, `${id}.git`),
    createdAt: now,
    updatedAt: now,
    pushedAt: now,
    nextNumber: 1,
    roles: new Map(),
    labels: new Map(),
    pulls: new Map(),
    comments: new Map(),
    checkRuns: new Map(),
  };
  const { directory, defaultBranch } = repository;
  await createBareRepository(directory, defaultBranch);
  if (from.history !== undefined) {
    const { gitDirectory, branch } = from.history;
    const [fromRef, toRef] = [`refs/heads/${branch}`, `refs/heads/${defaultBranch}`];
    await copyRef({ from: gitDirectory, fromRef, to: directory, toRef });
  } else if (parent === undefined) {
    const files = from.files ?? { "README.md": `# ${from.name}\n` };
    await commitFiles({
      directory,
      branch: defaultBranch,
      parent: undefined,
      files,
      message: "First commit",
      author: from.owner,
      at: now,
    });
  } else {
    const ref = `refs/heads/${parent.defaultBranch}`;
    await copyRef({ from: parent.directory, fromRef: ref, to: directory, toRef: ref });
  }
  world.repositories.set(id, repository);
  if (from.installed ?? parent === undefined) {
    install(world, repository);
  }
  return viewRepository(world, repository);
}

function install(world: World, repository: Repository): void {
  const { owner } = repository;
  const known = [...world.installations.values()].find((installation) => installation.account.id === owner.id);
  if (known !== undefined) {
    known.repositories.add(repository);
    emitInstallation(world, known, {
      event: "installation_repositories",
      action: "added",
      sender: owner,
      repositories: [repository],
    });
    return;
  }
  const installation: Installation = {
    id: world.nextId(),
    account: owner,
    permissions: world.app.permissions,
    createdAt: world.now(),
    repositories: new Set([repository]),
    suspended: null,
  };
  world.installations.set(installation.id, installation);
  emitInstallation(world, installation, {
    event: "installation",
    action: "created",
    sender: owner,
    repositories: [repository],
  });
}

export async function ensureFork(world: World, parent: Repository, owner: string): Promise<Repository> {
  const known = findRepository(world, `${owner}/${parent.name}`);
  if (known !== undefined) {
    return known;
  }
  await createRepository(world, { owner, name: parent.name, forkOf: fullNameOf(parent) });
  return requireRepository(world, `${owner}/${parent.name}`);
}
