import { createHash } from "node:crypto";
import {
  assertNever,
  type Ceiling,
  composePrompt,
  decidePolicy,
  defaultTask,
  type DeliveryId,
  type Digest,
  type Ending,
  type Instant,
  instructionsOf,
  isFork,
  OPERATOR_ROLE,
  parseTaskFile,
  type PullRequestOrigin,
  refuseRun,
  requestRun,
  type Run,
  type RunId,
  type TaskFile,
  type TaskSpec,
  taskPath,
  type Trigger,
} from "@mayfly/core";
import { readPullInPrompt } from "../github/pull-in-prompt.ts";
import type { PullRequestReader, Reading } from "../github/pull-requests.ts";
import type { TaskReading } from "../github/task-files.ts";

export interface RunStarterDeps {
  readonly reader: PullRequestReader;
  readonly ceiling: Ceiling;
  readonly modelDefault: string;
}

/** Something that asks for a run. */
interface StartRequest {
  readonly id: RunId;
  readonly delivery: DeliveryId;
  readonly trigger: Trigger & { kind: "start" };
  readonly now: Instant;
}

/** Turns a label or a command into a run: asks GitHub what policy needs to know, and fixes the answer for good. */
export interface RunStarter {
  /** A run that waits, or one that is refused. Throws GITHUB_UNAVAILABLE; nothing is stored here. */
  prepare(asked: StartRequest): Promise<Run>;
}

export function createRunStarter(deps: RunStarterDeps): RunStarter {
  return {
    prepare(asked) {
      const { installation, repository } = asked.trigger;
      return deps.reader.reading({ installation, repository }, (reading) => prepare(deps, reading, asked));
    },
  };
}

async function prepare(deps: RunStarterDeps, reading: Reading, asked: StartRequest): Promise<Run> {
  const { ceiling, modelDefault } = deps;
  const { id, trigger, now } = asked;
  const { repository, pullRequest, sender, label } = trigger;
  const requestedAt = trigger.asked?.at ?? pullRequest.updatedAt;
  const path = taskPath(label);
  const [role, found] = await Promise.all([
    sender.type === "Operator" ? OPERATOR_ROLE : reading.role(sender.login),
    path.ok ? reading.task(path.path, repository.defaultBranch) : ({ kind: "none" } as const),
  ]);
  const file = fileOf(found);
  const origin = originOf(asked, role);
  const decision = decidePolicy({
    label,
    repository,
    actor: sender,
    role,
    fork: origin.fork,
    forkGone: pullRequest.head.repository === null,
    head: origin.head,
    headPushedAt: pullRequest.head.repository?.pushedAt ?? null,
    labelledAt: requestedAt,
    headNamed: trigger.asked?.headNamed ?? false,
    task: file,
    taskSource: found.kind === "none" ? null : found.source,
    modelDefault,
    ceiling,
  });
  const about = {
    origin,
    requestedAt,
    taskDigest: found.kind === "found" ? digestOf(found.text) : null,
    ...(found.kind === "none" ? {} : { taskSource: found.source }),
  };
  const refuse = (task: TaskSpec, ending: Ending) =>
    refuseRun({ id, request: { ...about, task, prompt: "" }, ending, now });
  if (!decision.allowed) {
    return refuse(defaultTask(label, modelDefault), decision.ending);
  }
  const { task } = decision;
  const composed = await compose(reading, asked, { origin, task, prompt: file?.ok === true ? file.prompt : "" });
  return composed.ok
    ? requestRun({ id, request: { ...about, task, prompt: composed.prompt }, now })
    : refuse(task, { outcome: "refused", code: "task_invalid", detail: composed.reason });
}

/** What is no text is a file with a mistake: neither a default of the organisation's nor "no file" stands in for it. */
function fileOf(found: TaskReading): TaskFile | null {
  switch (found.kind) {
    case "found":
      return parseTaskFile(found.text);
    case "odd":
      return { ok: false, problems: [{ line: 1, column: 1, message: `it is ${found.what}, and must be a text file` }] };
    case "none":
      return null;
    default:
      return assertNever(found);
  }
}

function originOf({ delivery, trigger }: StartRequest, role: string): PullRequestOrigin {
  const { repository, pullRequest, sender, label, installation } = trigger;
  return {
    kind: "pull_request",
    delivery,
    installation,
    repository: { id: repository.id, owner: repository.owner, name: repository.name },
    number: pullRequest.number,
    label,
    actor: sender,
    role,
    head: pullRequest.head.sha,
    base: pullRequest.base.sha,
    baseRef: pullRequest.base.ref,
    fork: isFork(pullRequest),
    draft: pullRequest.draft,
    ...(trigger.asked === undefined ? {} : { asked: trigger.asked.by }),
  };
}

async function compose(
  reading: Reading,
  { id, trigger }: StartRequest,
  run: { origin: PullRequestOrigin; task: TaskSpec; prompt: string },
): Promise<ReturnType<typeof composePrompt>> {
  const { pullRequest, agentsFile, agentsFileChanged } = await readPullInPrompt(
    reading,
    trigger.repository,
    trigger.pullRequest,
  );
  return composePrompt({
    task: run.prompt,
    name: run.task.name,
    agentsFile,
    agentsFileChanged,
    instructions: wantedOf(run.origin),
    isStructured: run.task.outputSchema !== null,
    // Unguessable before the run exists, and different for each: a stranger's text cannot contain it.
    nonce: id.replace("_", ""),
    pullRequest,
  });
}

function wantedOf(origin: PullRequestOrigin): { login: string; text: string } | null {
  const text = instructionsOf(origin);
  return text === null ? null : { login: origin.actor.login, text };
}

function digestOf(text: string): Digest {
  return `sha256:${createHash("sha256").update(text).digest("hex")}` as Digest;
}
