import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createLog } from "../host/log.ts";
import { octokitOptions } from "./octokit-options.ts";

/** What the server was asked, with the credential it was shown. */
const asked: string[] = [];
const answers = new Map<string, { status: number; location?: string }>();
const server = createServer((request, response) => {
  asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
  const { status, location } = answers.get(request.url ?? "") ?? { status: 200 };
  response.writeHead(status, location === undefined ? {} : { location }).end("{}");
});
let url: string;

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v3`;
});

afterAll(() => void server.close());

beforeEach(() => {
  asked.length = 0;
  answers.clear();
});

function ask(method: string, path: string): Promise<Response> {
  const { request } = octokitOptions({ url, log: createLog({ level: "silent" }).log });
  return request.fetch(`${url}${path}`, { method, headers: { authorization: "token t" } });
}

describe("a request to GitHub", () => {
  it.each([
    ["GET", 301],
    ["GET", 302],
    ["GET", 307],
    ["PATCH", 307],
    ["POST", 308],
  ])("follows a renamed repository: %s with %i", async (method, status) => {
    answers.set("/api/v3/repos/o/old", { status, location: `${url}/repositories/7/pulls` });
    expect((await ask(method, "/repos/o/old")).status).toBe(200);
    expect(asked).toEqual([`${method} /api/v3/repos/o/old token t`, `${method} /api/v3/repositories/7/pulls token t`]);
  });

  it.each<[string, string, (base: string) => string]>([
    ["to another host", "GET", () => "http://127.0.0.2:9/api/v3/repositories/7"],
    ["to another port", "GET", () => "http://127.0.0.1:9/api/v3/repositories/7"],
    ["with a name and a password", "GET", (base) => base.replace("//", "//a:b@")],
    ["to no repository", "GET", (base) => base.replace("/repositories/7", "/app")],
    ["out of the API", "GET", (base) => base.replace("/api/v3", "")],
    ["out of it by dots", "GET", (base) => base.replace("/7", "/../../../x")],
    ["to what is no address", "GET", () => "//"],
    ["that would turn what is written into a question", "POST", (base) => base],
  ])("does not follow one %s", async (_, method, locationOf) => {
    answers.set("/api/v3/repos/o/old", { status: 301, location: locationOf(`${url}/repositories/7`) });
    await expect(ask(method, "/repos/o/old")).rejects.toThrow("unexpected redirect");
    expect(asked).toHaveLength(1);
  });

  it("gives up on one that leads in a circle", async () => {
    answers.set("/api/v3/repositories/7", { status: 301, location: `${url}/repositories/7` });
    await expect(ask("GET", "/repositories/7")).rejects.toThrow("unexpected redirect");
    expect(asked).toHaveLength(3);
  });
});
