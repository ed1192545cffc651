import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProgram } from "../../apps/orchestrator/src/cli/program.ts";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { createFakeGitHub, type FakeGitHub, type FakeGitHubOptions } from "../fakes/github/server.ts";
import { createReceiver } from "../fakes/github/testing.ts";
import { createTestTerminal } from "../support/test-terminal.ts";

/** What the App is granted in the guide, and nothing else. */
export const PERMISSIONS = { contents: "write", pull_requests: "write", checks: "write" } as const;
export const MODEL_KEY = "sk-doctor-0123456789abcdef";
export const WEBHOOK_SECRET = "a-webhook-secret-of-the-doctor";

export interface Examined {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail" | "skipped";
  readonly seen: string;
  readonly fixes: readonly string[];
  readonly ms: number;
}

/** A model's endpoint that lists its models to whoever shows the key, and takes no other request. */
interface ModelList {
  readonly url: string;
  readonly asked: { readonly line: string; readonly headers: IncomingHttpHeaders }[];
  /** What it answers from now on. */
  answer: (headers: IncomingHttpHeaders) => { status: number; body: string; headers?: Record<string, string> };
}

/** A host whose settings are all good, between real Redis and stand-ins for the rest. */
export interface DoctorBench {
  readonly folder: string;
  readonly redis: TestRedis;
  readonly github: FakeGitHub;
  readonly model: ModelList;
  readonly environment: Record<string, string>;
  /** Another App in the place of the first one. */
  useApp(options: FakeGitHubOptions): Promise<FakeGitHub>;
  /** `mayfly doctor` with these settings over the good ones. */
  ask(over?: Record<string, string>, ...flags: string[]): Promise<{ code: number; out: string; err: string }>;
  /** The same with `--json`, read. */
  examine(over?: Record<string, string>): Promise<{ code: number; ok: boolean; out: string; checks: Examined[] }>;
  end(): Promise<void>;
}

export async function openDoctor(): Promise<DoctorBench> {
  const folder = await mkdtemp(join(tmpdir(), "mf-"));
  const redis = await startTestRedis();
  const model = await startModelList();
  const receiver = await createReceiver();
  const apps: FakeGitHub[] = [];
  const environment: Record<string, string> = {
    HOME: "/nowhere",
    // In its mode already: nothing is made or changed.
    MAYFLY_STATE_DIR: join(folder, "state"),
    MAYFLY_CACHE_DIR: join(folder, "cache"),
    MAYFLY_REDIS_URL: `unix://${"socket" in redis.address ? redis.address.socket : ""}`,
    MAYFLY_WEBHOOK_SECRET: WEBHOOK_SECRET,
    MAYFLY_GITHUB_PRIVATE_KEY_FILE: join(folder, "app.pem"),
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: MODEL_KEY,
    MAYFLY_MODEL: "gpt-doctor",
  };

  async function useApp(options: FakeGitHubOptions): Promise<FakeGitHub> {
    const github = await createFakeGitHub({ webhookUrl: receiver.url, ...options });
    apps.push(github);
    await writeFile(join(folder, "app.pem"), github.privateKeyPem ?? "", { mode: 0o600 });
    environment["MAYFLY_GITHUB_APP_ID"] = String(github.appId);
    environment["MAYFLY_GITHUB_URL"] = github.url;
    return github;
  }

  const github = await useApp({ permissions: PERMISSIONS });

  async function ask(over: Record<string, string> = {}, ...flags: string[]) {
    const { terminal, said } = createTestTerminal({ env: { ...environment, ...over } });
    const code = await createProgram(terminal, ["doctor", ...flags]);
    return { code, ...said() };
  }

  return {
    folder,
    redis,
    github,
    model,
    environment,
    useApp,
    ask,
    async examine(over) {
      const { code, out } = await ask(over, "--json");
      return { code, out, ...(JSON.parse(out) as { ok: boolean; checks: Examined[] }) };
    },
    async end() {
      await Promise.all([...apps.map((app) => app.close()), receiver.close(), model.close()]);
      await redis.end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startModelList(): Promise<ModelList & { close(): Promise<void> }> {
  const asked: { line: string; headers: IncomingHttpHeaders }[] = [];
  const list: ModelList = {
    url: "",
    asked,
    answer: ({ authorization }) =>
      authorization === `Bearer ${MODEL_KEY}`
        ? { status: 200, body: JSON.stringify({ object: "list", data: [{ id: "gpt-doctor", object: "model" }] }) }
        : { status: 401, body: JSON.stringify({ error: { message: "Incorrect API key provided", code: null } }) },
  };
  const server = createServer(({ method, url, headers }, response) => {
    asked.push({ line: `${method} ${url}`, headers });
    const isKnown = method === "GET" && url === "/v1/models";
    const { status, body, headers: more } = isKnown ? list.answer(headers) : { status: 405, body: "{}", headers: {} };
    response.writeHead(status, { "content-type": "application/json", ...more }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return Object.assign(list, {
    url: `http://127.0.0.1:${port}/v1`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  });
}
