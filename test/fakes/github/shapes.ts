/** The JSON of accounts, repositories, labels and the App, as GitHub spells it. */
import { fullNameOf, installationOf, isoTime } from "./world.ts";
import type { App, Installation, Label, Level, Permissions, Repository, User, World } from "./world.ts";

export type Json = Record<string, unknown>;

/** Every `<name>_url` of a repository and what follows the repository's own URL. */
const REPOSITORY_URLS: Readonly<Record<string, string>> = {
  archive: "/{archive_format}{/ref}",
  assignees: "/assignees{/user}",
  blobs: "/git/blobs{/sha}",
  branches: "/branches{/branch}",
  collaborators: "/collaborators{/collaborator}",
  comments: "/comments{/number}",
  commits: "/commits{/sha}",
  compare: "/compare/{base}...{head}",
  contents: "/contents/{+path}",
  contributors: "/contributors",
  deployments: "/deployments",
  downloads: "/downloads",
  events: "/events",
  forks: "/forks",
  git_commits: "/git/commits{/sha}",
  git_refs: "/git/refs{/sha}",
  git_tags: "/git/tags{/sha}",
  hooks: "/hooks",
  issue_comment: "/issues/comments{/number}",
  issue_events: "/issues/events{/number}",
  issues: "/issues{/number}",
  keys: "/keys{/key_id}",
  labels: "/labels{/name}",
  languages: "/languages",
  merges: "/merges",
  milestones: "/milestones{/number}",
  notifications: "/notifications{?since,all,participating}",
  pulls: "/pulls{/number}",
  releases: "/releases{/id}",
  stargazers: "/stargazers",
  statuses: "/statuses/{sha}",
  subscribers: "/subscribers",
  subscription: "/subscription",
  tags: "/tags",
  teams: "/teams",
  trees: "/git/trees{/sha}",
};

const USER_URLS: Readonly<Record<string, string>> = {
  followers: "/followers",
  following: "/following{/other_user}",
  gists: "/gists{/gist_id}",
  starred: "/starred{/owner}{/repo}",
  subscriptions: "/subscriptions",
  organizations: "/orgs",
  repos: "/repos",
  events: "/events{/privacy}",
  received_events: "/received_events",
};

export function userShape(world: World, user: User): Json {
  const url = `${world.url}/users/${encodeURIComponent(user.login)}`;
  return {
    login: user.login,
    id: user.id,
    node_id: nodeId("U", user.id),
    avatar_url: `${world.url}/avatars/u/${user.id}?v=4`,
    gravatar_id: "",
    url,
    html_url: `${world.url}/${encodeURIComponent(user.login)}`,
    ...urls(url, USER_URLS),
    type: user.type,
    user_view_type: "public",
    site_admin: false,
  };
}

/** A repository as it appears inside other objects and in webhooks. */
export function repositoryShape(world: World, repository: Repository): Json {
  const url = repositoryUrl(world, repository);
  const html = repositoryHtmlUrl(world, repository);
  const open = [...repository.pulls.values()].filter((pull) => pull.state === "open").length;
  return {
    id: repository.id,
    node_id: nodeId("R", repository.id),
    name: repository.name,
    full_name: fullNameOf(repository),
    private: repository.private,
    visibility: repository.private ? "private" : "public",
    owner: userShape(world, repository.owner),
    html_url: html,
    description: null,
    fork: repository.forkOf !== undefined,
    url,
    ...urls(url, REPOSITORY_URLS),
    created_at: isoTime(repository.createdAt),
    updated_at: isoTime(repository.updatedAt),
    pushed_at: isoTime(repository.pushedAt),
    git_url: `${html.replace(/^http/, "git")}.git`,
    ssh_url: `git@${new URL(world.url).host}:${fullNameOf(repository)}.git`,
    clone_url: `${html}.git`,
    svn_url: html,
    homepage: null,
    size: 1,
    stargazers_count: 0,
    watchers_count: 0,
    language: null,
    has_issues: true,
    has_projects: true,
    has_downloads: true,
    has_wiki: true,
    has_pages: false,
    has_discussions: false,
    forks_count: 0,
    mirror_url: null,
    archived: false,
    disabled: false,
    open_issues_count: open,
    license: null,
    allow_forking: true,
    is_template: false,
    web_commit_signoff_required: false,
    topics: [],
    forks: 0,
    open_issues: open,
    watchers: 0,
    default_branch: repository.defaultBranch,
  };
}

/** A repository as its own endpoint gives it. */
export function fullRepositoryShape(world: World, repository: Repository): Json {
  const shape = { ...repositoryShape(world, repository), network_count: 0, subscribers_count: 0 };
  if (repository.forkOf === undefined) {
    return shape;
  }
  const parent = repositoryShape(world, repository.forkOf);
  return { ...shape, parent, source: parent };
}

export function labelShape(world: World, repository: Repository, label: Label): Json {
  return {
    id: label.id,
    node_id: nodeId("LA", label.id),
    url: `${repositoryUrl(world, repository)}/labels/${encodeURIComponent(label.name)}`,
    name: label.name,
    color: label.color,
    default: false,
    description: label.description,
  };
}

export function appShape(world: World): Json {
  const { app } = world;
  return {
    ...appIdentity(world, app),
    installations_count: world.installations.size,
  };
}

export function appIdentity(world: World, app: App): Json {
  return {
    id: app.id,
    slug: app.slug,
    client_id: app.clientId,
    node_id: nodeId("A", app.id),
    owner: userShape(world, app.owner),
    name: app.name,
    description: "",
    external_url: "https://example.com/",
    html_url: `${world.url}/apps/${app.slug}`,
    created_at: isoTime(app.createdAt),
    updated_at: isoTime(app.createdAt),
    permissions: app.permissions,
    events: app.events,
  };
}

export function installationShape(world: World, installation: Installation): Json {
  return {
    id: installation.id,
    client_id: world.app.clientId,
    account: userShape(world, installation.account),
    repository_selection: "all",
    access_tokens_url: `${world.url}/app/installations/${installation.id}/access_tokens`,
    repositories_url: `${world.url}/installation/repositories`,
    html_url: `${world.url}/settings/installations/${installation.id}`,
    app_id: world.app.id,
    app_slug: world.app.slug,
    target_id: installation.account.id,
    target_type: installation.account.type,
    permissions: installation.permissions,
    events: world.app.events,
    created_at: isoTime(installation.createdAt),
    updated_at: isoTime(installation.createdAt),
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: installation.suspended === null ? null : userShape(world, installation.suspended.by),
    suspended_at: installation.suspended === null ? null : isoTime(installation.suspended.at),
  };
}

/** How the account stands to the repository. */
export function associationOf(repository: Repository, user: User): string {
  if (repository.owner.id === user.id) {
    return "OWNER";
  }
  return repository.roles.has(user.login.toLowerCase()) ? "COLLABORATOR" : "CONTRIBUTOR";
}

/** `installation` as every webhook of an App carries it. */
export function simpleInstallation(world: World, repository: Repository): Json {
  const id = installationOf(world, repository)?.id ?? 0;
  return { id, node_id: nodeId("IN", id) };
}

export function repositoryUrl(world: World, repository: Repository): string {
  return `${world.url}/repos/${fullNameOf(repository)}`;
}

export function repositoryHtmlUrl(world: World, repository: Repository): string {
  return `${world.url}/${fullNameOf(repository)}`;
}

export function nodeId(kind: string, id: number): string {
  return `${kind}_${Buffer.from(String(id)).toString("base64url")}`;
}

/** Permissions with the one that comes with any other. */
export function withMetadata(permissions: Readonly<Record<string, Level>>): Permissions {
  return { metadata: "read", ...permissions };
}

function urls(base: string, suffixes: Readonly<Record<string, string>>): Json {
  return Object.fromEntries(Object.entries(suffixes).map(([name, suffix]) => [`${name}_url`, `${base}${suffix}`]));
}
