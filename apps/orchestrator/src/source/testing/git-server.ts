import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface GitServerOptions {
  /** The folder whose bare repositories are served. */
  readonly root: string;
  /** What a client must show as the password; null lets everybody read. */
  readonly token: string | null;
  /** Is awaited before an authorised request is answered. True means that it has answered itself. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;
}

export interface GitServer {
  readonly url: string;
  /** `GET /a.git/info/refs?…` for each request, with `401 ` before those that were refused. */
  readonly requests: string[];
  close(): Promise<void>;
}

/** Real repositories over real HTTP, by git's own CGI program. */
export async function createGitServer(options: GitServerOptions): Promise<GitServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    response.on("error", () => undefined);
    const line = `${request.method} ${request.url}`;
    if (!isAuthorized(options.token, request)) {
      requests.push(`401 ${line}`);
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
      return;
    }
    requests.push(line);
    const handled = options.intercept?.(request, response) ?? Promise.resolve(false);
    void handled.then((done) => (done ? undefined : serve(options.root, request, response)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () => close(server),
  };
}

function isAuthorized(token: string | null, request: IncomingMessage): boolean {
  const expected = Buffer.from(`x-access-token:${token}`).toString("base64");
  return token === null || request.headers.authorization === `Basic ${expected}`;
}

function serve(root: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://localhost");
  const backend = spawn("git", ["http-backend"], {
    env: {
      PATH: process.env["PATH"] ?? "",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      REQUEST_METHOD: request.method ?? "",
      QUERY_STRING: url.search.slice(1),
      PATH_INFO: url.pathname,
      REMOTE_ADDR: "127.0.0.1",
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  backend.stdin.on("error", () => undefined);
  request.pipe(backend.stdin);
  response.on("close", () => backend.kill());
  let head = Buffer.alloc(0);
  backend.stdout.on("data", (chunk: Buffer) => {
    if (response.headersSent) {
      response.write(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end >= 0) {
      writeHead(response, head.toString("latin1", 0, end));
      response.write(head.subarray(end + 4));
    }
  });
  backend.on("close", () => response.end());
}

function writeHead(response: ServerResponse, text: string): void {
  let status = 200;
  for (const line of text.split("\r\n")) {
    const [name = "", value = ""] = line.split(": ", 2);
    if (name === "Status") {
      status = Number.parseInt(value, 10);
    } else {
      response.setHeader(name, value);
    }
  }
  response.writeHead(status);
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
}
