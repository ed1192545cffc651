import { Octokit } from "@octokit/core";
import type { Logger } from "pino";
import { namingFaults } from "../signer/github-faults.ts";
import { octokitOptions } from "../signer/octokit-options.ts";
import type { GitHubApp } from "./app.ts";

/**
 * GitHub as a person sees it who has a token of their own, or none: what is public, and what they may read. Only for
 * reading, one try for each request. Throws GITHUB_UNAVAILABLE, GITHUB_REFUSED.
 */
export function createPersonsGitHub(deps: {
  url: string;
  token: string | null;
  log: Logger;
}): Pick<GitHubApp, "withClient"> {
  const { url, token, log } = deps;
  const client = new Octokit({ ...octokitOptions({ url, log }), ...(token === null ? {} : { auth: token }) });
  return { withClient: (_purpose, _place, use) => namingFaults(() => use(client)) };
}
