/** One API request from the first byte to the last: fault, route, credential, permission, contract, answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { appRoutes } from "./app-routes.ts";
import { checkRoutes } from "./checks.ts";
import { commentRoutes } from "./comments.ts";
import { commitRoutes } from "./commits.ts";
import { contentRoutes } from "./contents.ts";
import { deliveryRoutes } from "./deliveries.ts";
import { gitDataRoutes } from "./git-data.ts";
import { graphqlRoutes } from "./graphql.ts";
import { decodedPath, GitHubRefusal, notFound, readBody, refusalAsReply } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import { labelRoutes } from "./labels.ts";
import { pullRoutes } from "./pull-requests.ts";
import { repositoryRoutes } from "./repositories.ts";
import { reviewRoutes } from "./reviews.ts";
import { createRouter } from "./router.ts";
import type { Match } from "./router.ts";
import { requireApp, requirePermission, requireToken } from "./tokens.ts";
import { findRenamed, findRepository, fullNameOf } from "./world.ts";
import type { Repository, TokenRecord, World } from "./world.ts";

const RATE_WINDOW_MS = 3_600_000;

export const routes = [
  ...appRoutes,
  ...deliveryRoutes,
  ...repositoryRoutes,
  ...commitRoutes,
  ...contentRoutes,
  ...pullRoutes,
  ...reviewRoutes,
  ...labelRoutes,
  ...commentRoutes,
  ...checkRoutes,
  ...gitDataRoutes,
  ...graphqlRoutes,
];

const match = createRouter(routes);

/** Answers one API request and records it with the token that made it. */
export async function serveApi(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", world.url);
  const method = request.method ?? "GET";
  const found = match(method, pathByName(world, url.pathname));
  if (found === undefined) {
    world.unknownRequests.push(`${method} ${url.pathname}`);
  }
  let token: TokenRecord | undefined;
  let limits: Record<string, string> = {};
  let reply: Reply;
  try {
    if (request.headers["user-agent"] === undefined) {
      throw new GitHubRefusal(403, "Request forbidden by administrative rules. User-Agent is missing.");
    }
    token = authenticate(world, request, found);
    limits = countRequest(world, token);
    if (found === undefined) {
      throw notFound();
    }
    reply = await answer({ world, request, url, found, token });
  } catch (error) {
    if (!(error instanceof GitHubRefusal)) {
      throw error;
    }
    reply = error.toReply();
  }
  if (token !== undefined) {
    token.uses.push({ method, path: decodedPath(url.pathname), status: reply.status, at: world.now() });
  }
  // A lost connection after the effect: the caller must not see the answer.
  if (!response.destroyed) {
    writeReply(world, response, { ...reply, headers: { ...limits, ...reply.headers } });
  }
}

/** Writes an answer with the headers every answer of GitHub has. */
export function writeReply(world: World, response: ServerResponse, reply: Reply): void {
  const type = reply.raw?.type ?? "application/json; charset=utf-8";
  const bytes = reply.raw?.bytes ?? (reply.body === undefined ? "" : JSON.stringify(reply.body));
  response.writeHead(reply.status, {
    date: new Date(world.now()).toUTCString(),
    server: "github.com",
    "x-github-media-type": "github.v3; format=json",
    "x-github-request-id": `0000:${world.nextId().toString(16).toUpperCase()}`,
    ...(reply.status === 204 ? {} : { "content-type": type }),
    ...reply.headers,
  });
  response.end(bytes);
}

interface Asked {
  readonly world: World;
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly found: Match;
  readonly token: TokenRecord | undefined;
}

async function answer({ world, request, url, found, token }: Asked): Promise<Reply> {
  const { route, params } = found;
  const name = { method: route.method, path: route.describedAs ?? route.path };
  const raw = await readBody(request);
  const moved = token === undefined ? undefined : movedOf(world, token, found, url);
  if (moved !== undefined) {
    return moved;
  }
  const repository = repositoryOf(world, found);
  if (token !== undefined) {
    requirePermission(world, token, repository, route.needs ?? []);
  }
  const body = parse(raw);
  const isDescribed = route.isUndescribed !== true;
  const problems = isDescribed ? world.contract.request(name, { query: url.searchParams, body }) : [];
  if (problems.length > 0) {
    world.contractViolations.push(...problems);
    throw new GitHubRefusal(422, "Invalid request.", { errors: problems });
  }
  const context: Context = {
    world,
    method: route.method,
    target: `${url.pathname}${url.search}`,
    params,
    query: url.searchParams,
    accept: request.headers.accept ?? "",
    body,
    token,
    // Routes whose path names no repository never look at it.
    repository: repository as Repository,
  };
  const reply = await refusalAsReply(() => route.handle(context));
  if (reply.raw === undefined && isDescribed) {
    world.contractViolations.push(...world.contract.response(name, { status: reply.status, body: reply.body }));
  }
  return reply;
}

function authenticate(world: World, request: IncomingMessage, found: Match | undefined): TokenRecord | undefined {
  const { headers } = request;
  const auth = found?.route.auth ?? "either";
  // The three parts of a JWT tell it from a token.
  const isJwt = /^bearer ey[\w-]+\.[\w-]+\.[\w-]+$/i.test(headers.authorization ?? "");
  if (auth === "none") {
    return undefined;
  }
  if (auth === "app" || (auth === "either" && isJwt)) {
    requireApp(world, headers);
    return undefined;
  }
  if (isJwt) {
    throw new GitHubRefusal(403, "Resource not accessible by integration");
  }
  return requireToken(world, headers);
}

/** Paths by a repository's id are where renamed ones lead to. The description knows them by name alone. */
function pathByName(world: World, path: string): string {
  const [, id, rest] = /^\/repositories\/([1-9]\d{0,15})(\/.+)$/.exec(path) ?? [];
  const repository = id === undefined ? undefined : world.repositories.get(Number(id));
  return repository === undefined || rest === undefined ? path : `/repos/${fullNameOf(repository)}${rest}`;
}

/** A repository that has another name by now: 301 for what only reads, 307 for the rest, as at GitHub. */
function movedOf(world: World, token: TokenRecord, { params, route }: Match, url: URL): Reply | undefined {
  const renamed = findRenamed(world, `${params.owner ?? ""}/${params.repo ?? ""}`);
  if (renamed === undefined) {
    return undefined;
  }
  requirePermission(world, token, renamed, []);
  const rest = url.pathname
    .split("/")
    .slice(4)
    .map((part) => `/${part}`);
  const location = `${world.url}/repositories/${renamed.id}${rest.join("")}${url.search}`;
  const body = {
    message: "Moved Permanently",
    url: location,
    documentation_url: "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects",
  };
  return { status: route.method === "GET" ? 301 : 307, headers: { location }, body };
}

function repositoryOf(world: World, { params }: Match): Repository | undefined {
  if (params.owner === undefined || params.repo === undefined) {
    return undefined;
  }
  const repository = findRepository(world, `${params.owner}/${params.repo}`);
  if (repository === undefined) {
    throw notFound();
  }
  return repository;
}

function parse(raw: Buffer): unknown {
  if (raw.length === 0) {
    return undefined;
  }
  try {
    return JSON.parse(raw.toString());
  } catch {
    throw new GitHubRefusal(400, "Problems parsing JSON");
  }
}

/** Counts against the hourly limit of the installation, or of the App; throws 403 once it is used up. */
function countRequest(world: World, token: TokenRecord | undefined): Record<string, string> {
  const key = token === undefined ? "app" : `installation ${token.installationId}`;
  const now = world.now();
  let window = world.rateWindows.get(key);
  if (window === undefined || now >= window.startedAt + RATE_WINDOW_MS) {
    window = { startedAt: now, used: 0 };
    world.rateWindows.set(key, window);
  }
  window.used += 1;
  const headers = {
    "x-ratelimit-limit": String(world.rateLimitPerHour),
    "x-ratelimit-remaining": String(Math.max(0, world.rateLimitPerHour - window.used)),
    "x-ratelimit-used": String(window.used),
    "x-ratelimit-reset": String(Math.ceil((window.startedAt + RATE_WINDOW_MS) / 1000)),
    "x-ratelimit-resource": "core",
  };
  if (window.used <= world.rateLimitPerHour) {
    return headers;
  }
  throw new GitHubRefusal(403, "API rate limit exceeded for installation.", { headers });
}
