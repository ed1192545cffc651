/**
 * A strict stand-in for GitHub, as an App meets it: a real HTTP server on loopback with real git repositories.
 * It refuses what GitHub refuses, and holds both sides to GitHub's published description.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveApi, writeReply } from "./api.ts";
import { createContract } from "./contract.ts";
import { createControl } from "./control.ts";
import type { Control } from "./control.ts";
import { post, signedHeaders } from "./deliveries.ts";
import type { Answer } from "./deliveries.ts";
import { strike } from "./faults.ts";
import type { FaultRequest } from "./faults.ts";
import { isGitPath, serveGit } from "./git-http.ts";
import { decodedPath, refusalAsReply } from "./http.ts";
import { isManifestForm, takeManifest } from "./manifest.ts";
import { pullPage } from "./pages.ts";
import { withMetadata } from "./shapes.ts";
import { ensureUser } from "./world.ts";
import type { Delivery, Level, TokenRecord, World } from "./world.ts";

/** GitHub's own key size. */
const KEY_BITS = 2048;
/** An installation's limit without extras: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api */
const RATE_LIMIT_PER_HOUR = 5000;
const FIRST_ID = 1000;
/** Holds no state of a stand-in; made once because compiling its schemas takes longer than all else. */
const contract = createContract();

export interface FakeGitHubOptions {
  readonly appId?: number;
  readonly appSlug?: string;
  readonly appOwner?: string;
  /** Without it a key pair is made and the private half returned. */
  readonly appPublicKeyPem?: string;
  readonly webhookSecret?: string;
  /** May be set later with `setWebhook`. */
  readonly webhookUrl?: string;
  /** Epoch ms; the real clock by default. */
  readonly clock?: () => number;
  /** What installations grant; by default what Mayfly's App asks for. */
  readonly permissions?: Readonly<Record<string, Level>>;
  readonly events?: readonly string[];
  readonly rateLimitPerHour?: number;
}

/** A delivery as a test forges it: what is left out is genuine. */
interface RawDelivery {
  readonly body: string | Uint8Array;
  readonly event?: string;
  readonly guid?: string;
  readonly secret?: string;
  /** Added last; a header set to undefined is left out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

export interface FakeGitHub extends Control {
  /** Base of the API. */
  readonly url: string;
  /** Base of git's HTTP: `${gitUrl}/${owner}/${name}.git`. */
  readonly gitUrl: string;
  readonly appId: number;
  readonly appSlug: string;
  /** Undefined when only the public key was given. */
  readonly privateKeyPem: string | undefined;
  /** As it is now: the manifest flow and `setWebhook` change it. */
  readonly webhookSecret: string;
  /** Where deliveries go from now on. */
  setWebhook(webhook: { url?: string; secret?: string }): void;
  /** Every token ever minted, with its uses. */
  tokens(): readonly Readonly<TokenRecord>[];
  /** The delivery log, oldest first. */
  deliveries(): readonly Readonly<Delivery>[];
  /** Resolves when no delivery is under way. */
  deliveriesSettled(): Promise<void>;
  /** The next deliveries are logged (as a failure, or as the status given) but never sent. */
  loseNextDeliveries(options?: { times?: number; loggedAs?: number }): void;
  /** Sends bytes as they are, past the log; resolves with the answer. */
  deliver(raw: RawDelivery): Promise<Answer>;
  /** The next matching requests, API or git, meet that fault. */
  failNext(fault: FaultRequest): void;
  /** Requests to routes that are not served, `METHOD path`. */
  readonly unknownRequests: readonly string[];
  /** Where either side broke GitHub's published description. */
  readonly contractViolations: readonly string[];
  /** Stops listening, ends deliveries under way, removes the repositories. Idempotent. */
  close(): Promise<void>;
}

/** Starts a stand-in on a free loopback port. */
export async function createFakeGitHub(options: FakeGitHubOptions = {}): Promise<FakeGitHub> {
  const { world, privateKeyPem } = await createWorld(options);
  const serving = new Set<Promise<void>>();
  const server = createServer((request, response) => {
    const served = serve(world, request, response)
      .catch((error: unknown) => {
        // A caller that hangs up is no fault of the stand-in.
        if (!request.socket.destroyed) {
          world.contractViolations.push(`the stand-in failed: ${request.method} ${request.url}: ${String(error)}`);
        }
        response.destroy();
      })
      .finally(() => serving.delete(served));
    serving.add(served);
  });
  world.url = `http://127.0.0.1:${await listen(server)}`;
  return {
    ...createControl(world),
    url: world.url,
    gitUrl: world.url,
    appId: world.app.id,
    appSlug: world.app.slug,
    privateKeyPem,
    get webhookSecret() {
      return world.webhook.secret;
    },
    unknownRequests: world.unknownRequests,
    contractViolations: world.contractViolations,
    setWebhook: ({ url = world.webhook.url, secret = world.webhook.secret }) => {
      world.webhook = { url, secret };
    },
    tokens: () => [...world.tokens.values()],
    deliveries: () => [...world.deliveries],
    deliveriesSettled: () => deliveriesSettled(world),
    loseNextDeliveries: ({ times = 1, loggedAs = 502 } = {}) => {
      world.lost.push({ times, loggedAs });
    },
    deliver: (raw) => deliverRaw(world, raw),
    failNext: (fault) => {
      world.faults.push({ ...fault, left: fault.times ?? 1 });
    },
    close: () => close(world, { server, serving }),
  };
}

async function createWorld(options: FakeGitHubOptions): Promise<{ world: World; privateKeyPem: string | undefined }> {
  const pair =
    options.appPublicKeyPem === undefined ? generateKeyPairSync("rsa", { modulusLength: KEY_BITS }) : undefined;
  const now = options.clock ?? Date.now;
  const permissions = withMetadata(
    options.permissions ?? { contents: "write", issues: "write", pull_requests: "write", checks: "write" },
  );
  const id = options.appId ?? 123456;
  let lastId = FIRST_ID;
  const world: World = {
    url: "",
    root: await mkdtemp(join(tmpdir(), "fake-github-")),
    now,
    nextId: () => (lastId += 1),
    app: {
      id,
      slug: options.appSlug ?? "mayfly",
      name: options.appSlug ?? "mayfly",
      owner: { id: FIRST_ID, login: options.appOwner ?? "example", type: "Organization" },
      clientId: `Iv23li${randomBytes(7).toString("hex")}`,
      publicKey: pair?.publicKey ?? createPublicKey(options.appPublicKeyPem ?? ""),
      permissions,
      events: options.events ?? ["check_run", "issue_comment", "pull_request"],
      createdAt: now(),
    },
    webhook: { url: options.webhookUrl, secret: options.webhookSecret ?? randomBytes(20).toString("hex") },
    users: new Map(),
    repositories: new Map(),
    installations: new Map(),
    tokens: new Map(),
    deliveries: [],
    underWay: new Set(),
    stop: new AbortController(),
    lost: [],
    faults: [],
    contract,
    contractViolations: [],
    unknownRequests: [],
    manifestConversions: new Map(),
    rateLimitPerHour: options.rateLimitPerHour ?? RATE_LIMIT_PER_HOUR,
    rateWindows: new Map(),
  };
  world.users.set(world.app.owner.login.toLowerCase(), world.app.owner);
  ensureUser(world, `${world.app.slug}[bot]`, "Bot");
  const privateKeyPem = pair?.privateKey.export({ type: "pkcs1", format: "pem" }).toString();
  return { world, privateKeyPem };
}

async function serve(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", world.url).pathname;
  const struck = await strike(world.faults, { method: request.method ?? "GET", path: decodedPath(path) });
  if (struck.kind === "reset") {
    request.socket.resetAndDestroy();
    return;
  }
  if (struck.kind === "answer") {
    request.resume();
    writeReply(world, response, struck.reply);
    return;
  }
  if (struck.kind === "lost") {
    cutAtAnswer(request, response);
  }
  const shown = request.method === "GET" ? pullPage(world, path) : undefined;
  if (shown !== undefined) {
    writeReply(world, response, shown);
  } else if (request.method === "POST" && isManifestForm(path)) {
    writeReply(world, response, await refusalAsReply(() => takeManifest(world, request)));
  } else if (isGitPath(path)) {
    await serveGit(world, request, response);
  } else {
    await serveApi(world, request, response);
  }
}

/** The effect happens; the caller sees the connection break instead of the answer. */
function cutAtAnswer(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead = () => {
    request.socket.resetAndDestroy();
    return response;
  };
  response.end = () => response;
}

async function deliverRaw(world: World, raw: RawDelivery): Promise<Answer> {
  const { url } = world.webhook;
  if (url === undefined) {
    throw new Error("no webhook URL");
  }
  const body = Buffer.from(raw.body);
  const genuine = signedHeaders(world, {
    event: raw.event ?? "pull_request",
    guid: raw.guid ?? randomUUID(),
    body,
    ...(raw.secret === undefined ? {} : { secret: raw.secret }),
  });
  const headers = new Map(Object.entries(genuine).map(([name, value]) => [name.toLowerCase(), value]));
  for (const [name, value] of Object.entries(raw.headers ?? {})) {
    if (value === undefined) {
      headers.delete(name.toLowerCase());
    } else {
      headers.set(name.toLowerCase(), value);
    }
  }
  return post(url, { headers: Object.fromEntries(headers), body, signal: world.stop.signal });
}

async function deliveriesSettled(world: World): Promise<void> {
  while (world.underWay.size > 0) {
    await Promise.all(world.underWay);
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

async function close(world: World, running: { server: Server; serving: Set<Promise<void>> }): Promise<void> {
  const { server, serving } = running;
  world.stop.abort();
  await deliveriesSettled(world);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
  await Promise.all(serving);
  await rm(world.root, { recursive: true, force: true });
}
