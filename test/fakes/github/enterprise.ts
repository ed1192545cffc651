/** The stand-in as GitHub Enterprise Server has its addresses: REST below /api/v3, GraphQL at /api/graphql, nothing beside. */
import { createServer, request as ask } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeEnterprise {
  /** What `github.url` is set to. */
  readonly url: string;
  /** Paths that were asked for and are none of its API. */
  readonly strayed: readonly string[];
  close(): Promise<void>;
}

/** @param github The stand-in that answers. */
export async function createFakeEnterprise(github: { readonly url: string }): Promise<FakeEnterprise> {
  const strayed: string[] = [];
  const server = createServer((request, response) => {
    const { url = "/", method = "GET", headers } = request;
    const path = url === "/api/graphql" ? "/graphql" : url.startsWith("/api/v3/") ? url.slice("/api/v3".length) : null;
    if (path === null || (url.startsWith("/api/v3/") && path === "/graphql")) {
      strayed.push(`${method} ${url}`);
      response.writeHead(404).end();
      return;
    }
    const passed = ask(`${github.url}${path}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    request.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v3`,
    strayed,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
