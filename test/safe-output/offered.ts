import { createHash } from "node:crypto";
import {
  findSecrets,
  type PatchMode,
  type Result,
  type Run,
  type RunEvent,
  type RunFacts,
  type RunId,
  type Trigger,
} from "@mayfly/core";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { createPatchDecider } from "../../apps/orchestrator/src/publish/decide-patch.ts";
import { createPublisher } from "../../apps/orchestrator/src/publish/publisher.ts";
import { settlePatch } from "../../apps/orchestrator/src/publish/settle-patch.ts";
import { reportInput } from "../../packages/core/src/render/run.fixture.ts";
import { decideRun } from "../../packages/core/src/decide-run.ts";
import { after, eventsUntilPublishing, type GitHubBench, MAINTAINER } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { createStickies } from "./publishing.ts";

/** The file as it is on the branch. */
const README = "# Shelf\n\nMore.\n";
/** And as Codex leaves it. */
export const NEW = "# Shelf\n\nMuch more.\r\n\u00e9";
export type Change = NonNullable<Extract<NonNullable<Result["changes"]>, { state: "present" }>["files"][number]>;

export const blobOf = (text: string) =>
  createHash("sha1")
    .update(`blob ${Buffer.byteLength(text)}\0${text}`)
    .digest("hex");
export const change = (other: Partial<Change> = {}): Change => ({
  path: "README.md",
  base: blobOf(README),
  mode: "100644",
  content: Buffer.from(NEW).toString("base64"),
  ...other,
});

export interface Offered {
  readonly run: Run;
  readonly pull: PullView;
  readonly press: (by?: string, kind?: "apply" | "discard") => Promise<string>;
  /** What the service does once such a run is published. */
  readonly settle: () => Promise<void>;
  readonly check: () => { id: number; conclusion: string | null; buttons: string[]; said: string; details: string };
  readonly comment: () => string;
  readonly event: RunEvent;
}

/** A run of a task that publishes a patch, published. */
export async function offer(
  bench: GitHubBench,
  files: readonly Change[],
  { fork = false, kind = "patch" }: { fork?: boolean; kind?: PatchMode } = {},
  triesMax = 1,
): Promise<Offered> {
  const opened = await bench.openRun();
  const origin = { ...opened.origin, fork };
  const { task } = opened.run.request;
  const asked: Run = {
    ...opened.run,
    request: { ...opened.run.request, origin, task: { ...task, publish: ["comment", "check", kind] } },
  };
  const ready = after(asked, eventsUntilPublishing(origin));
  const { result, machines, spend } = reportInput("The shelf is longer now.");
  const changes = { state: "present" as const, files: [...files] };
  const facts = async (): Promise<RunFacts> => ({ result: result && { ...result, changes }, machines, spend });
  const { log } = createLog({ level: "silent" });
  const publisher = createPublisher({
    app: bench.app,
    facts,
    stickies: createStickies(),
    content: { used: async () => 0, add: async () => undefined },
    recheck: bench.recheck,
    loadRun: async () => null,
    readEvents: async () => [],
    listLiveRuns: async () => [],
    githubHost: "github.com",
    findSecrets: async (texts) => texts.flatMap((text) => findSecrets(text, [])),
    clock: { now: () => Date.now() },
    log,
  });
  const event = await publishIn(triesMax, () => publisher.publish(ready));
  const run = event.type === "published" ? decideRun(ready, event, Date.now()).run : ready;
  const view = () => bench.github.pullRequest(opened.pull);
  const check = () => {
    const made = bench.github.checkRuns(opened.pull.repo).find(({ externalId }) => externalId === run.id);
    const buttons = made?.actions.map(({ identifier }) => identifier) ?? [];
    const said = `${made?.output.title}\n${made?.output.summary}`;
    return { id: made?.id ?? 0, conclusion: made?.conclusion ?? null, buttons, said, details: made?.output.text ?? "" };
  };
  const applier = createPatchDecider({
    app: bench.app,
    loadRun: async (id: RunId) => (id === run.id ? { value: run, version: 1 } : null),
    facts,
    log,
  });
  const press = (by = MAINTAINER, kind: "apply" | "discard" = "apply"): Promise<string> => {
    const trigger: Trigger & { kind: "apply" | "discard" } = {
      kind,
      installation: origin.installation,
      repositoryId: origin.repository.id,
      actor: { id: 9, login: by, type: "User" },
      checkRunId: check().id,
      externalId: run.id,
    };
    return applier(trigger);
  };
  const settle = () => settlePatch(applier, run);
  return { run, pull: opened.pull, press, settle, check, comment: () => view().comments.at(-1)?.body ?? "", event };
}

/** As the service does: a step that failed is taken again. */
async function publishIn(triesMax: number, publish: () => Promise<RunEvent>): Promise<RunEvent> {
  for (let tries = 1; tries < triesMax; tries++) {
    const event = await publish().catch(() => null);
    if (event !== null) {
      return event;
    }
  }
  return publish();
}

/** What a person may press while a patch waits. */
export const WAITING = ["apply_patch", "discard_patch", "run_again"];

/** What may have come between a run and its patch, and the words that say so. */
export const hindrances: readonly {
  readonly what: string;
  readonly happens: (bench: GitHubBench, offered: Offered) => unknown;
  readonly why: string;
}[] = [
  {
    what: "who asked for the run may not write there any more",
    happens: ({ github }, { pull }) => github.setRole(pull.repo, MAINTAINER, "triage"),
    why: `${MAINTAINER} has the role triage`,
  },
  {
    what: "somebody pushed since",
    happens: ({ github }, { pull }) => github.push(pull, { files: { "other.md": "x\n" } }),
    why: "nothing is forced: run the task again",
  },
  {
    what: "the pull request is closed",
    happens: ({ github }, { pull }) => github.closePullRequest(pull, { by: MAINTAINER }),
    why: "the pull request is closed",
  },
];
