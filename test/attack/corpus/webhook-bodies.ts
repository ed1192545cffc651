/** The parts of a pull request's payload that a test wants to be otherwise. */
export interface PullRequestChanges {
  readonly action?: string;
  readonly label?: string | null;
  readonly sender?: { readonly id: number; readonly login: string; readonly type: string };
  readonly number?: number;
  readonly title?: string;
  readonly body?: string | null;
  readonly head?: string;
  readonly headRef?: string;
  readonly updatedAt?: string;
  /** The head's repository; null for one that is deleted. */
  readonly headRepository?: { readonly id: number; readonly pushedAt: string | null } | null;
  readonly state?: string;
}

export const BASE_REPOSITORY = 1_001;
export const LABEL = "codex-review";
const HEAD = "a".repeat(40);

/** A payload as GitHub sends it, as far as anybody reads it; `as number` types are GitHub's. */
export function pullRequestBody(changes: PullRequestChanges = {}): Record<string, unknown> {
  const {
    action = "labeled",
    label = LABEL,
    sender = { id: 7, login: "maintainer", type: "User" },
    number = 3,
    title = "Say more",
    body = "It says more.",
    head = HEAD,
    headRef = "more",
    updatedAt = "2026-01-02T03:04:05Z",
    headRepository = { id: BASE_REPOSITORY, pushedAt: "2026-01-02T02:00:00Z" },
    state = "open",
  } = changes;
  return {
    action,
    number,
    ...(label === null ? {} : { label: { id: 1, name: label, color: "ededed", default: false } }),
    sender,
    installation: { id: 11, node_id: "x" },
    repository: {
      id: BASE_REPOSITORY,
      name: "shelf",
      full_name: "example-org/shelf",
      owner: { login: "example-org", id: 5 },
      default_branch: "main",
      private: true,
    },
    pull_request: {
      number,
      state,
      draft: false,
      title,
      body,
      user: { login: "author", id: 8 },
      updated_at: updatedAt,
      head: {
        sha: head,
        ref: headRef,
        repo:
          headRepository === null
            ? null
            : {
                id: headRepository.id,
                full_name: headRepository.id === BASE_REPOSITORY ? "example-org/shelf" : "somebody/shelf",
                fork: headRepository.id !== BASE_REPOSITORY,
                pushed_at: headRepository.pushedAt,
              },
      },
      base: { sha: "b".repeat(40), ref: "main", repo: { id: BASE_REPOSITORY } },
      labels: [{ name: label }],
    },
  };
}
