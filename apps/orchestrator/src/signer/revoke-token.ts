import { Octokit } from "@octokit/core";
import { namingFaults, statusOf } from "./github-faults.ts";
import type { octokitOptions } from "./octokit-options.ts";

/** Makes what ends a token at GitHub. One try, since who asks comes again; a token that is dead already is success. */
export function createRevoke(options: ReturnType<typeof octokitOptions>): (token: string) => Promise<void> {
  const Client = Octokit.defaults(options);
  return async (token) => {
    try {
      await namingFaults(() => new Client({ auth: token }).request("DELETE /installation/token"));
    } catch (error) {
      if (statusOf((error as Error).cause) !== 401) {
        throw error;
      }
    }
  };
}
