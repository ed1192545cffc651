/**
 * What each token may do: one repository, the fewest permissions, for one purpose. The App itself is granted no more
 * than these together: never `workflows`, `administration`, `secrets` or `actions: write`.
 */
export const purposes = {
  /** Facts about the pull request and the sender; the task file and AGENTS.md. */
  read: { contents: "read", pull_requests: "read", metadata: "read" },
  /** git fetch. */
  source: { contents: "read" },
  /** Our own words on the check run, any time. */
  progress: { checks: "write" },
  /** The result, after the machine is gone (I5): comment, check run, the label's removal. */
  publish: { checks: "write", pull_requests: "write" },
} as const satisfies Record<string, Record<string, "read" | "write">>;

export type Purpose = keyof typeof purposes;
