import type { Clock } from "@mayfly/core";
import { Octokit } from "@octokit/core";
import { retry } from "@octokit/plugin-retry";
import type { Logger } from "pino";
import { type AppKey, createAppJwt } from "./app-key.ts";
import { octokitOptions } from "./octokit-options.ts";

/**
 * A client of GitHub with the App's own right: each request carries a proof that is made for it. It throws what octokit
 * throws. What may be asked with it is the list of `app-requests.ts`, and tokens.
 */
export function createAppClient(options: {
  url: string;
  appId: number;
  key: AppKey;
  clock: Clock;
  log: Logger;
}): Octokit {
  const { url, appId, key, clock, log } = options;
  const app = new (Octokit.plugin(retry).defaults(octokitOptions({ url, log })))();
  app.hook.before("request", async (request) => {
    request.headers.authorization = `bearer ${await createAppJwt({ key, appId, now: clock.now() })}`;
  });
  return app;
}
