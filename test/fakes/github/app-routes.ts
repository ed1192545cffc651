/** The App itself, its installations and their tokens, and what a manifest's code converts to. */
import { notFound, page } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import type { Route } from "./router.ts";
import { appShape, installationShape, repositoryShape, userShape } from "./shapes.ts";
import { covers, mintToken } from "./tokens.ts";
import { installationOf, isoTime } from "./world.ts";
import type { Installation, World } from "./world.ts";

const HOUR_MS = 3_600_000;

export const appRoutes: readonly Route[] = [
  { method: "GET", path: "/app", auth: "app", handle: ({ world }) => ({ status: 200, body: appShape(world) }) },
  { method: "GET", path: "/app/installations", auth: "app", handle: listInstallations },
  { method: "GET", path: "/app/installations/{installation_id}", auth: "app", handle: showInstallation },
  { method: "POST", path: "/app/installations/{installation_id}/access_tokens", auth: "app", handle: createToken },
  { method: "GET", path: "/repos/{owner}/{repo}/installation", auth: "app", handle: showRepositoryInstallation },
  { method: "POST", path: "/app-manifests/{code}/conversions", auth: "none", handle: convertManifest },
  { method: "GET", path: "/installation/repositories", auth: "installation", handle: listRepositories },
  { method: "DELETE", path: "/installation/token", auth: "installation", handle: revokeToken },
  { method: "GET", path: "/rate_limit", auth: "installation", handle: showRateLimit },
  { method: "GET", path: "/users/{username}", auth: "either", handle: showUser },
];

function listInstallations(context: Context): Reply {
  const { items, headers } = page(context, [...context.world.installations.values()]);
  return { status: 200, headers, body: items.map((installation) => installationShape(context.world, installation)) };
}

function showInstallation({ world, params }: Context): Reply {
  return { status: 200, body: installationShape(world, find(world, params.installation_id)) };
}

function showRepositoryInstallation({ world, repository }: Context): Reply {
  const installation = installationOf(world, repository);
  if (installation === undefined) {
    throw notFound();
  }
  return { status: 200, body: installationShape(world, installation) };
}

function createToken({ world, params, body }: Context): Reply {
  const installation = find(world, params.installation_id);
  const token = mintToken(world, installation, body);
  const chosen = [...installation.repositories].filter(
    (repository) => token.repositoryIds?.includes(repository.id) === true,
  );
  return {
    status: 201,
    body: {
      token: token.token,
      expires_at: isoTime(token.expiresAt),
      permissions: token.permissions,
      repository_selection: token.repositoryIds === undefined ? "all" : "selected",
      ...(token.repositoryIds === undefined
        ? {}
        : { repositories: chosen.map((repository) => repositoryShape(world, repository)) }),
    },
  };
}

function convertManifest({ world, params }: Context): Reply {
  const conversion = world.manifestConversions.get(params.code ?? "");
  if (conversion === undefined) {
    throw notFound();
  }
  world.manifestConversions.delete(params.code ?? "");
  return {
    status: 201,
    body: {
      ...appShape(world),
      client_id: world.app.clientId,
      client_secret: conversion.clientSecret,
      webhook_secret: conversion.webhookSecret,
      pem: conversion.pem,
    },
  };
}

function listRepositories(context: Context): Reply {
  const { world, token } = context;
  const reachable = [...world.repositories.values()].filter(
    (repository) => token !== undefined && covers(world, token, repository),
  );
  const { items, headers } = page(context, reachable);
  const body = {
    total_count: reachable.length,
    repository_selection: token?.repositoryIds === undefined ? "all" : "selected",
    repositories: items.map((repository) => repositoryShape(world, repository)),
  };
  return { status: 200, headers, body };
}

function revokeToken({ world, token }: Context): Reply {
  if (token !== undefined) {
    token.revokedAt = world.now();
  }
  return { status: 204 };
}

function showRateLimit({ world, token }: Context): Reply {
  const window = world.rateWindows.get(`installation ${token?.installationId ?? 0}`);
  const used = window?.used ?? 0;
  const core = {
    limit: world.rateLimitPerHour,
    used,
    remaining: Math.max(0, world.rateLimitPerHour - used),
    reset: Math.ceil(((window?.startedAt ?? world.now()) + HOUR_MS) / 1000),
  };
  return { status: 200, body: { resources: { core, search: core }, rate: core } };
}

function showUser({ world, params }: Context): Reply {
  const user = world.users.get((params.username ?? "").toLowerCase());
  if (user === undefined) {
    throw notFound();
  }
  const at = isoTime(world.app.createdAt);
  const counts = { public_repos: 0, public_gists: 0, followers: 0, following: 0 };
  const profile = { name: null, company: null, blog: "", location: null, email: null, hireable: null, bio: null };
  return { status: 200, body: { ...userShape(world, user), ...profile, ...counts, created_at: at, updated_at: at } };
}

function find(world: World, id: string | undefined): Installation {
  const installation = world.installations.get(Number(id));
  if (installation === undefined) {
    throw notFound();
  }
  return installation;
}
