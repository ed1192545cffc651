import {
  instructionsOf,
  type Instant,
  labelsOfFiles,
  OPERATOR,
  type OperatorAsk,
  pullName,
  type RunId,
  type Store,
  TASK_FOLDER,
  taskNamed,
  type Trigger,
  type WebhookPullRequest,
} from "@mayfly/core";
import { placeOf, type PullRequestReader } from "../github/pull-requests.ts";
import type { PlaceStore } from "../store/places.ts";

export interface OperatorDeps {
  readonly reader: PullRequestReader;
  readonly store: Store;
  readonly places: PlaceStore;
  /** Labels that stand for tasks. */
  readonly labels: readonly string[];
  /** The web host of this GitHub. */
  readonly githubHost: string;
}

type Start = Trigger & { kind: "start" };

/**
 * What an operator's wish comes to, once GitHub was asked: a start like any other, whose actor is the operator, or a
 * sentence that says why it is none and what to do. Whether the run may be is policy's to say. Changes nothing.
 */
export interface Operator {
  /** Throws GITHUB_UNAVAILABLE, GITHUB_REFUSED, STORE_UNAVAILABLE. */
  resolve(ask: OperatorAsk, at: Instant): Promise<Start | string>;
}

/** More are not listed to somebody who typed a wrong one. */
const TASKS_SHOWN_MAX = 30;

export function createOperator(deps: OperatorDeps): Operator {
  return {
    resolve: (ask, at) => (ask.kind === "start" ? start(deps, ask, at) : retry(deps, ask.of, at)),
  };
}

async function start(
  { reader, places, labels, githubHost }: OperatorDeps,
  { pull: address, task, instructions }: OperatorAsk & { kind: "start" },
  at: Instant,
): Promise<Start | string> {
  const { host, owner, name, number } = address;
  const called = pullName(address);
  if (host !== null && host !== githubHost.toLowerCase()) {
    return `${called} is on ${host}, and this service works on ${githubHost}: ask the service that works there`;
  }
  const known = await places.find(owner, name);
  if (known === null) {
    return (
      `GitHub has told this service of no repository ${owner}/${name}. Check the name and that the App is installed on it; ` +
      "one that is quiet is known as soon as anything happens to a pull request of it, such as a label"
    );
  }
  const { installation } = known;
  const place = { installation, repository: { id: known.repository, owner, name } };
  return reader.reading(place, async (reading) => {
    const repository = await reading.repository();
    if (`${repository.owner}/${repository.name}`.toLowerCase() !== `${owner}/${name}`.toLowerCase()) {
      return `${owner}/${name} is called ${repository.owner}/${repository.name} now: ask with that name`;
    }
    const pull = await reading.pullRequest(number);
    const closed = refuseClosed(pull, called);
    if (pull === null || closed !== null) {
      return closed ?? called;
    }
    const tasks = labelsOfFiles(await reading.taskFolder(TASK_FOLDER, repository.defaultBranch), labels);
    const named = taskNamed(task, tasks);
    if (named.label === null) {
      const near = named.near === null ? "" : `; did you mean ${named.near}?`;
      const there = tasks.length === 0 ? "none" : tasks.slice(0, TASKS_SHOWN_MAX).join(", ");
      return `${owner}/${name} has no task "${task}"${near} Its tasks are: ${there}. A task is a file in ${TASK_FOLDER} on the default branch`;
    }
    const by = { kind: "operator", of: null, instructions } as const;
    const asked = { by, at, headNamed: false };
    return {
      kind: "start",
      installation,
      repository,
      sender: OPERATOR,
      pullRequest: pull,
      label: named.label,
      asked,
    };
  });
}

/** The same task on the same commit. */
async function retry({ reader, store }: OperatorDeps, of: RunId, at: Instant): Promise<Start | string> {
  const former = (await store.loadRun(of))?.value;
  if (former === undefined) {
    return `there is no run ${of}: mayfly run list shows the newest`;
  }
  const { origin, requestedAt } = former.request;
  if (origin.kind === "local") {
    return `run ${of} was of a local folder: mayfly run local runs it again`;
  }
  if (former.phase !== "done") {
    return `run ${of} goes on: wait for its end, or end it with mayfly run cancel ${of}`;
  }
  const { installation, number, label } = origin;
  return reader.reading(placeOf(origin), async (reading) => {
    const repository = await reading.repository();
    const called = pullName({ host: null, owner: repository.owner, name: repository.name, number });
    const pull = await reading.pullRequest(number);
    const closed = refuseClosed(pull, called);
    if (pull === null || closed !== null) {
      return closed ?? called;
    }
    if (pull.head.sha !== origin.head) {
      return (
        `run ${of} was of ${origin.head}, and the head of ${called} is ${pull.head.sha} now. ` +
        `To have that run: mayfly run start --pr ${called} --task ${label}`
      );
    }
    const by = { kind: "operator", of, instructions: instructionsOf(origin) } as const;
    // The wish has our clock's time and the run GitHub's: whoever names a run has seen it, so it was asked for before.
    const asked = { by, at: Math.max(at, requestedAt), headNamed: true };
    return { kind: "start", installation, repository, sender: OPERATOR, pullRequest: pull, label, asked };
  });
}

function refuseClosed(pull: WebhookPullRequest | null, called: string): string | null {
  if (pull === null) {
    return `there is no pull request ${called} that the App can read: check its number`;
  }
  return pull.state === "open" ? null : `${called} is closed: reopen it, then ask again`;
}
