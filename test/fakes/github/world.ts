/** The state of one stand-in for GitHub. Nothing here is global: every stand-in has a world of its own. */
import type { KeyObject } from "node:crypto";
import type { Contract } from "./contract.ts";
import type { Fault } from "./faults.ts";

export type RoleName = "none" | "read" | "triage" | "write" | "maintain" | "admin";
export type Level = "read" | "write" | "admin";
export type Permissions = Readonly<Record<string, Level>>;

export interface User {
  readonly id: number;
  readonly login: string;
  readonly type: "User" | "Bot" | "Organization";
}

export interface Label {
  readonly id: number;
  readonly name: string;
  readonly color: string;
  readonly description: string | null;
}

export interface Comment {
  readonly id: number;
  readonly pullNumber: number;
  body: string;
  readonly author: User;
  readonly createdAt: number;
  updatedAt: number;
  /** Set when an App wrote it. */
  readonly viaApp: boolean;
  readonly reactions: Reaction[];
}

/** One of each content and user at most, as at GitHub. */
export interface Reaction {
  readonly id: number;
  readonly content: string;
  readonly user: User;
  readonly createdAt: number;
}

export interface ReviewComment {
  readonly id: number;
  readonly path: string;
  readonly body: string;
  readonly line: number | null;
  readonly side: string;
  readonly startLine: number | null;
  /** Why it is folded, in GraphQL's words; null while it is not. */
  minimizedReason: string | null;
}

export interface Review {
  readonly id: number;
  readonly body: string;
  readonly state: "APPROVED" | "CHANGES_REQUESTED" | "COMMENTED" | "PENDING";
  readonly commitId: string;
  readonly author: User;
  readonly submittedAt: number;
  readonly comments: readonly ReviewComment[];
}

export interface Pull {
  readonly id: number;
  /** A pull request is an issue too, under another id and the same number. */
  readonly issueId: number;
  readonly number: number;
  readonly repository: Repository;
  readonly headRepository: Repository;
  readonly title: string;
  readonly body: string | null;
  readonly author: User;
  draft: boolean;
  state: "open" | "closed";
  readonly createdAt: number;
  updatedAt: number;
  closedAt: number | null;
  readonly base: { ref: string; sha: string };
  readonly head: { readonly ref: string; sha: string };
  readonly labels: Set<string>;
  readonly reviews: Review[];
  /** `path:line` on which comments are refused though the diff has it. */
  readonly unresolvable: Set<string>;
}

export interface CheckRun {
  readonly id: number;
  readonly suiteId: number;
  readonly headSha: string;
  name: string;
  externalId: string;
  detailsUrl: string | null;
  status: string;
  conclusion: string | null;
  startedAt: number | null;
  completedAt: number | null;
  output: { title: string | null; summary: string | null; text: string | null; annotations: unknown[] };
  actions: { label: string; description: string; identifier: string }[];
}

export interface Repository {
  readonly id: number;
  readonly owner: User;
  name: string;
  /** Full names it had before, in lower case: GitHub leads from there until another repository takes one. */
  readonly formerNames: Set<string>;
  /** A fork that is gone: pull requests from it stay, and say null where it stood. */
  isDeleted: boolean;
  readonly private: boolean;
  readonly forkOf: Repository | undefined;
  readonly defaultBranch: string;
  /** The bare git repository. */
  readonly directory: string;
  readonly createdAt: number;
  updatedAt: number;
  pushedAt: number;
  nextNumber: number;
  /** By lower-case login. */
  readonly roles: Map<string, RoleName>;
  /** By lower-case name. */
  readonly labels: Map<string, Label>;
  readonly pulls: Map<number, Pull>;
  readonly comments: Map<number, Comment>;
  readonly checkRuns: Map<number, CheckRun>;
}

export interface Installation {
  readonly id: number;
  readonly account: User;
  readonly permissions: Permissions;
  readonly createdAt: number;
  readonly repositories: Set<Repository>;
  /** Who suspended it, and when; null while it is in use. */
  suspended: { readonly by: User; readonly at: number } | null;
}

interface TokenUse {
  readonly method: string;
  /** Without query and escapes. */
  readonly path: string;
  readonly status: number;
  readonly at: number;
}

/** One minted installation token and everything done with it. Times are epoch ms. */
export interface TokenRecord {
  readonly token: string;
  readonly installationId: number;
  /** Undefined: every repository of the installation. */
  readonly repositoryIds: readonly number[] | undefined;
  readonly permissions: Permissions;
  readonly mintedAt: number;
  readonly expiresAt: number;
  revokedAt?: number;
  readonly uses: TokenUse[];
}

export interface Delivery {
  readonly id: number;
  readonly guid: string;
  readonly event: string;
  readonly action: string | null;
  readonly installationId: number | null;
  readonly repositoryId: number | null;
  readonly redelivery: boolean;
  readonly deliveredAt: number;
  durationMs: number;
  /** 0 while under way or when nothing answered. */
  statusCode: number;
  status: string;
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly requestBody: Buffer;
  responseHeaders: Readonly<Record<string, string>>;
  responseBody: string;
}

/** A delivery that GitHub's log has and the receiver never saw. */
interface LostDeliveries {
  times: number;
  readonly loggedAs: number;
}

export interface App {
  readonly id: number;
  readonly slug: string;
  readonly name: string;
  readonly owner: User;
  readonly clientId: string;
  readonly publicKey: KeyObject;
  readonly permissions: Permissions;
  readonly events: readonly string[];
  readonly createdAt: number;
}

export interface World {
  /** Base of the API, without a slash at the end. */
  url: string;
  readonly root: string;
  /** Epoch ms. */
  now(): number;
  nextId(): number;
  app: App;
  webhook: { url: string | undefined; secret: string };
  readonly users: Map<string, User>;
  readonly repositories: Map<number, Repository>;
  readonly installations: Map<number, Installation>;
  readonly tokens: Map<string, TokenRecord>;
  readonly deliveries: Delivery[];
  readonly underWay: Set<Promise<void>>;
  /** Ends deliveries under way when the stand-in closes. */
  readonly stop: AbortController;
  readonly lost: LostDeliveries[];
  readonly faults: Fault[];
  readonly contract: Contract;
  readonly contractViolations: string[];
  readonly unknownRequests: string[];
  readonly manifestConversions: Map<string, { pem: string; webhookSecret: string; clientSecret: string }>;
  readonly rateLimitPerHour: number;
  readonly rateWindows: Map<string, { startedAt: number; used: number }>;
}

/** The user with that login, made on first mention; a login that ends in [bot] is a bot. */
export function ensureUser(world: World, login: string, type?: User["type"]): User {
  const known = world.users.get(login.toLowerCase());
  if (known !== undefined) {
    return known;
  }
  const user: User = { id: world.nextId(), login, type: type ?? (login.endsWith("[bot]") ? "Bot" : "User") };
  world.users.set(login.toLowerCase(), user);
  return user;
}

/** The account that acts when a token of the App acts. */
export function appBot(world: World): User {
  return ensureUser(world, `${world.app.slug}[bot]`, "Bot");
}

export function findRepository(world: World, fullName: string): Repository | undefined {
  const wanted = fullName.toLowerCase();
  return [...world.repositories.values()].find((repository) => fullNameOf(repository).toLowerCase() === wanted);
}

/** The repository that had this name before, while no other has it. */
export function findRenamed(world: World, fullName: string): Repository | undefined {
  return findRepository(world, fullName) === undefined
    ? [...world.repositories.values()].find(({ formerNames }) => formerNames.has(fullName.toLowerCase()))
    : undefined;
}

export function fullNameOf(repository: Repository): string {
  return `${repository.owner.login}/${repository.name}`;
}

export function installationOf(world: World, repository: Repository): Installation | undefined {
  return [...world.installations.values()].find((installation) => installation.repositories.has(repository));
}

/** The role that counts: what was set, else the owner is admin, else strangers may read what is public. */
export function roleOf(repository: Repository, login: string): RoleName | undefined {
  const role = repository.roles.get(login.toLowerCase());
  if (role !== undefined) {
    return role;
  }
  if (repository.owner.login.toLowerCase() === login.toLowerCase()) {
    return "admin";
  }
  return repository.private ? undefined : "read";
}

/** GitHub's time stamps have whole seconds. */
export function isoTime(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}
