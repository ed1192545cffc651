/** git's smart HTTP protocol, served by the git program's own http-backend. */
import { spawn } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";
import { basename } from "node:path";
import { gitEnvironment } from "./git-store.ts";
import { GitHubRefusal } from "./http.ts";
import { followBranches } from "./pull-requests.ts";
import { requirePermission, requireToken } from "./tokens.ts";
import { appBot, findRenamed, findRepository, fullNameOf } from "./world.ts";
import type { Repository, TokenRecord, World } from "./world.ts";

const GIT_PATH = /^\/([^/]+\/[^/]+?)\.git\/(info\/refs|git-upload-pack|git-receive-pack)$/;
/** The CGI program's headers are a few lines. */
const HEADER_BYTES_MAX = 16_384;

/** Whether the path belongs to git's protocol. */
export function isGitPath(path: string): boolean {
  return GIT_PATH.test(path);
}

/** Answers one request of git's protocol, if the token may. */
export async function serveGit(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", world.url);
  const [, name = "", service = ""] = GIT_PATH.exec(decodeURI(url.pathname)) ?? [];
  const writes = service === "git-receive-pack" || url.searchParams.get("service") === "git-receive-pack";
  let token: TokenRecord | undefined;
  try {
    token = requireToken(world, request.headers);
    const repository = allowed(world, token, { name, writes, rest: `${service}${url.search}` });
    await runBackend({
      request,
      response,
      repository,
      pathInfo: `/${basename(repository.directory)}/${service}`,
      query: url.search.slice(1),
    });
    if (service === "git-receive-pack") {
      repository.pushedAt = world.now();
      await followBranches(world, repository, appBot(world));
    }
    // Only now: who has pushed may rely on the pull request being there.
    response.end();
  } catch (error) {
    if (!(error instanceof GitHubRefusal)) {
      throw error;
    }
    refuse(response, error);
  } finally {
    token?.uses.push({
      method: request.method ?? "",
      path: url.pathname,
      status: response.statusCode,
      at: world.now(),
    });
  }
}

function allowed(
  world: World,
  token: TokenRecord,
  wanted: { name: string; writes: boolean; rest: string },
): Repository {
  const renamed = findRenamed(world, wanted.name);
  const repository = renamed ?? findRepository(world, wanted.name);
  if (repository === undefined) {
    throw new GitHubRefusal(404, "Repository not found.");
  }
  requirePermission(world, token, repository, [wanted.writes ? "contents:write" : "contents:read"]);
  if (renamed !== undefined) {
    const location = `${world.url}/${fullNameOf(renamed)}.git/${wanted.rest}`;
    throw new GitHubRefusal(301, "Moved Permanently", { headers: { location } });
  }
  return repository;
}

function refuse(response: ServerResponse, refusal: GitHubRefusal): void {
  const challenge = refusal.status === 401 ? { "www-authenticate": 'Basic realm="GitHub"' } : {};
  response.writeHead(refusal.status, { "content-type": "text/plain; charset=utf-8", ...challenge, ...refusal.headers });
  response.end(`${refusal.message}\n`);
}

interface Backend {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly repository: Repository;
  readonly pathInfo: string;
  readonly query: string;
}

function runBackend({ request, response, repository, pathInfo, query }: Backend): Promise<void> {
  const header = (name: string): string => String(request.headers[name] ?? "");
  const env = {
    ...gitEnvironment,
    GIT_PROJECT_ROOT: repository.directory.slice(0, -basename(repository.directory).length),
    GIT_HTTP_EXPORT_ALL: "1",
    PATH_INFO: pathInfo,
    QUERY_STRING: query,
    REQUEST_METHOD: request.method ?? "GET",
    CONTENT_TYPE: header("content-type"),
    ...(header("content-length") === "" ? {} : { CONTENT_LENGTH: header("content-length") }),
    HTTP_CONTENT_ENCODING: header("content-encoding"),
    GIT_PROTOCOL: header("git-protocol"),
    // A named user is what lets http-backend receive packs.
    REMOTE_USER: "x-access-token",
    REMOTE_ADDR: "127.0.0.1",
  };
  return new Promise((resolve, reject) => {
    const child = spawn("git", ["http-backend"], { env, stdio: ["pipe", "pipe", "ignore"] });
    let head: Buffer | undefined = Buffer.alloc(0);
    child.on("error", reject);
    child.on("close", () => {
      if (!response.headersSent) {
        response.writeHead(500);
      }
      resolve();
    });
    child.stdin.on("error", () => undefined);
    request.on("error", () => child.kill());
    response.on("close", () => {
      child.kill();
      // It may be paused for a client that reads no more, and would never be seen to end.
      child.stdout.resume();
    });
    request.pipe(child.stdin);
    child.stdout.on("data", (chunk: Buffer) => {
      if (head === undefined) {
        writeOn(child.stdout, response, chunk);
        return;
      }
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0 && head.length > HEADER_BYTES_MAX) {
        child.kill();
      }
      if (end < 0) {
        return;
      }
      writeHead(response, head.subarray(0, end).toString());
      writeOn(child.stdout, response, head.subarray(end + 4));
      head = undefined;
    });
  });
}

function writeOn(source: NodeJS.ReadableStream, response: ServerResponse, chunk: Buffer): void {
  if (response.destroyed || response.write(chunk)) {
    return;
  }
  source.pause();
  response.once("drain", () => source.resume());
}

function writeHead(response: ServerResponse, text: string): void {
  let status = 200;
  for (const line of text.split("\r\n")) {
    const [name = "", value = ""] = line.split(/: (.*)/s);
    if (name.toLowerCase() === "status") {
      status = Number.parseInt(value, 10);
    } else if (name !== "") {
      response.setHeader(name, value);
    }
  }
  response.writeHead(status);
}
