import { createHash } from "node:crypto";
import {
  type DeliveryId,
  defaultTask,
  formatId,
  type Ids,
  type LaunchId,
  requestRun,
  type Run,
  type RunId,
} from "@mayfly/core";
import type { Chance } from "../fakes/ec2/chance.ts";

export const RUN_MS_MAX = 10 * 60_000;
/** Long enough for any Codex of a storm that ends by itself. */
const TASK_MS = 6 * 60_000;
/** The first has more runs than any other: its cap binds about as often as that of all machines. */
const INSTALLATIONS = 5;
export const SHARE_OF_FIRST = 0.35;
const LABEL = "codex-storm";

export interface StormRun {
  readonly run: Run;
  readonly installation: number;
  readonly number: number;
  readonly head: string;
  readonly label: string;
}

/** The run of one pull request, as a webhook would have made it. */
export function createStormRun(options: {
  number: number;
  chance: Chance;
  now: number;
  ids: Ids;
  shareOfFirst: number;
}): StormRun {
  const { number, chance, now, ids, shareOfFirst } = options;
  const installation = chance.happens(shareOfFirst) ? 1 : 2 + chance.below(INSTALLATIONS - 1);
  const head = createHash("sha1").update(`head ${number}`).digest("hex");
  const run = requestRun({
    id: ids.run(now),
    now,
    request: {
      origin: {
        kind: "pull_request",
        delivery: `delivery-${number}` as DeliveryId,
        installation,
        repository: { id: installation, owner: "example", name: `repository-${installation}` },
        number,
        label: LABEL,
        actor: { id: 1, login: "octocat", type: "User" },
        role: "write",
        head,
        base: createHash("sha1").update(`base ${number}`).digest("hex"),
        fork: false,
      },
      requestedAt: now,
      task: { ...defaultTask(LABEL, "example-model"), timeoutMs: TASK_MS },
      taskDigest: null,
      prompt: "Review this.",
    },
  });
  return { run, installation, number, head, label: LABEL };
}

/** Ids and secrets that the seed decides. */
export function createStormIds(chance: Chance): Ids {
  const random = () => Uint8Array.from({ length: 10 }, () => chance.below(256));
  return {
    run: (now) => formatId("run", now, random()) as RunId,
    launch: (now) => formatId("lch", now, random()) as LaunchId,
    secret: (prefix) => `${prefix}_${chance.hex(43)}`,
  };
}
