import { limits } from "@mayfly/core";

const SECOND_MS = 1000;
/** A handful of requests of 20 s at most each, sent again up to three times, and GitHub's limits waited for. */
const REQUESTS_MS = 300 * SECOND_MS;

/**
 * What each token may do: one repository, the fewest permissions, for one purpose; and how long it may live before it
 * is revoked whether or not its borrower has given it back. The App itself is granted no more than these together:
 * never `workflows`, `administration`, `secrets` or `actions: write`.
 */
export const purposes = {
  /** Facts about the pull request and the sender; the task file and AGENTS.md. */
  read: { permissions: { contents: "read", pull_requests: "read", metadata: "read" }, longestUseMs: REQUESTS_MS },
  /** Which checks of ours stand on a commit, when all are to be run again. */
  checks: { permissions: { checks: "read" }, longestUseMs: REQUESTS_MS },
  /** The organisation's own tasks, in its repository `.github`: minted by that name, since nobody has told us its id. */
  defaults: { permissions: { contents: "read" }, longestUseMs: REQUESTS_MS },
  /** git fetch: one command. */
  source: { permissions: { contents: "read" }, longestUseMs: limits.gitMs + 60 * SECOND_MS },
  /** Our own words on the check run, any time. */
  progress: { permissions: { checks: "write" }, longestUseMs: REQUESTS_MS },
  /** Our own words in a comment, in answer to a command or on a run that goes on, any time. */
  answer: { permissions: { pull_requests: "write" }, longestUseMs: REQUESTS_MS },
  /** The result, after the machine is gone (I5): comment, check run, the label's removal. */
  publish: { permissions: { checks: "write", pull_requests: "write" }, longestUseMs: 2 * REQUESTS_MS },
  /** One commit on a pull request's branch, because a person with write access pressed the button, or asked for a task that commits. */
  patch: { permissions: { contents: "write" }, longestUseMs: REQUESTS_MS },
  /** A branch of a run's own and its draft pull request, where its task opens one. */
  draft: { permissions: { contents: "write", pull_requests: "write" }, longestUseMs: REQUESTS_MS },
} as const satisfies Record<string, PurposeTerms>;

interface PurposeTerms {
  readonly permissions: Readonly<Record<string, "read" | "write">>;
  readonly longestUseMs: number;
}

export type Purpose = keyof typeof purposes;

/** The one purpose whose repository is named: by this, among the repositories of the installation's account. */
export const DEFAULTS_PURPOSE = "defaults";
export const DEFAULTS_REPOSITORY = ".github";

/** Their names, for schemas. */
export const purposeNames = Object.keys(purposes) as [Purpose, ...Purpose[]];
