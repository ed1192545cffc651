/** Repositories, their branches, and what role a person has in them. */
import { notFound, GitHubRefusal } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import { commitShape } from "./commits.ts";
import { readCommit } from "./git-history.ts";
import { resolveCommit } from "./git-store.ts";
import type { Route } from "./router.ts";
import { fullRepositoryShape, repositoryHtmlUrl, repositoryUrl, userShape } from "./shapes.ts";
import { requirePermission } from "./tokens.ts";
import { roleOf } from "./world.ts";
import type { RoleName } from "./world.ts";

/** The older field knows four levels; maintain shows as write and triage as read. */
const FOLDED: Readonly<Record<RoleName, string>> = {
  none: "none",
  read: "read",
  triage: "read",
  write: "write",
  maintain: "write",
  admin: "admin",
};

export const repositoryRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/repos/{owner}/{repo}",
    auth: "installation",
    needs: ["metadata:read"],
    handle: showRepository,
  },
  {
    method: "GET",
    path: "/repositories/{repository_id}",
    describedAs: "/repos/{owner}/{repo}",
    auth: "installation",
    needs: ["metadata:read"],
    handle: showRepositoryById,
  },
  {
    method: "GET",
    path: "/repos/{owner}/{repo}/branches/{branch}",
    auth: "installation",
    needs: ["contents:read"],
    handle: showBranch,
  },
  {
    method: "GET",
    path: "/repos/{owner}/{repo}/collaborators/{username}/permission",
    auth: "installation",
    needs: ["metadata:read"],
    handle: showPermission,
  },
];

function showRepository({ world, repository }: Context): Reply {
  return { status: 200, body: fullRepositoryShape(world, repository) };
}

function showRepositoryById({ world, params, token }: Context): Reply {
  const repository = world.repositories.get(Number(params.repository_id));
  if (repository === undefined || token === undefined) {
    throw notFound();
  }
  requirePermission(world, token, repository, ["metadata:read"]);
  return { status: 200, body: fullRepositoryShape(world, repository) };
}

async function showBranch({ world, repository, params }: Context): Promise<Reply> {
  const name = params.branch ?? "";
  const sha = await resolveCommit(repository.directory, `refs/heads/${name}`);
  if (sha === undefined) {
    throw new GitHubRefusal(404, "Branch not found");
  }
  const url = `${repositoryUrl(world, repository)}/branches/${encodeURIComponent(name)}`;
  return {
    status: 200,
    body: {
      name,
      commit: commitShape(world, repository, await readCommit(repository.directory, sha)),
      _links: { self: url, html: `${repositoryHtmlUrl(world, repository)}/tree/${name}` },
      protected: false,
      protection: { enabled: false },
      protection_url: `${url}/protection`,
    },
  };
}

function showPermission({ world, repository, params }: Context): Reply {
  const login = params.username ?? "";
  const user = world.users.get(login.toLowerCase());
  if (user === undefined) {
    throw new GitHubRefusal(404, `${login} is not a user`);
  }
  const role = roleOf(repository, login);
  if (role === undefined) {
    throw notFound();
  }
  const rank = ["read", "triage", "write", "maintain", "admin"].indexOf(role);
  const permissions = { pull: rank >= 0, triage: rank >= 1, push: rank >= 2, maintain: rank >= 3, admin: rank >= 4 };
  const body = {
    permission: FOLDED[role],
    role_name: role,
    user: { ...userShape(world, user), permissions, role_name: role },
  };
  return { status: 200, body };
}
