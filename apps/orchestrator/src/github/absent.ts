import { AppError } from "@mayfly/core";
import type { GitHubApp } from "./app.ts";

/** Stands where a GitHub App would: for runs on local folders, which need none. */
export function createAbsentGitHub(): GitHubApp {
  const refuse = async (): Promise<never> => {
    throw new AppError("GITHUB_REFUSED", "there is no GitHub App here");
  };
  return { asApp: refuse, withClient: refuse, withToken: refuse, identity: refuse, onWrite: () => undefined };
}
