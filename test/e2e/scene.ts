import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { hostEnvironment } from "../support/host-environment.ts";
import { askService } from "../../apps/orchestrator/src/cli/control-client.ts";
import type { DeliveryRecord } from "../../apps/orchestrator/src/store/deliveries.ts";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import type { PullRef, PullView } from "../fakes/github/views.ts";
import type { CheckRun, Comment, Delivery } from "../fakes/github/world.ts";
import { eventually, processesNaming } from "../support/service.ts";
import type { TestWorld } from "../support/world.ts";

const main = fileURLToPath(new URL("../../apps/orchestrator/src/main.ts", import.meta.url));

const OWNER = "example-org";
const AUTHOR = "author";
export const MAINTAINER = "maintainer";
export const LABEL = "codex-review";

/** An emulated machine on a busy host takes up to a minute to boot, and as long to start Codex. */
export const RUN_MS = 240_000;
/** What needs no machine takes a second; the rest is for a busy host. */
const SOON_MS = 60_000;
/** A machine that is not needed any more may have to finish booting first. */
const MACHINE_GONE_MS = 150_000;
const COMMAND_MS = 60_000;

export interface PullOptions {
  /** The repository's name; one for each test keeps them apart. */
  readonly name: string;
  /** Whose repository it is; one account unless a test does something to all of it. */
  readonly owner?: string;
  /** The task file's text; null for none. */
  readonly task: string | null;
  /** The fork's owner. */
  readonly fork?: string;
  /** When the head was pushed, epoch ms. */
  readonly pushedAt?: number;
}

/** A repository with a task file, and a pull request in it that adds a line. */
export async function openPull(world: TestWorld, options: PullOptions): Promise<PullView> {
  const { name, task, owner = OWNER, ...head } = options;
  const { github } = world;
  const files = {
    "README.md": `# ${name}\n`,
    ...(task === null ? {} : { [`.github/codex/labels/${LABEL}.md`]: task }),
  };
  const { fullName } = await github.createRepository({ owner, name, files });
  github.setRole(fullName, AUTHOR, "write");
  github.setRole(fullName, MAINTAINER, "maintain");
  return github.openPullRequest({
    repo: fullName,
    title: "Say more",
    author: AUTHOR,
    head: { files: { "README.md": `# ${name}\n\nMore.\n` } },
    ...head,
  });
}

/** Adds the label and waits for the run it starts. */
export async function label(world: TestWorld, pull: PullRef, by = MAINTAINER): Promise<string> {
  const before = (await world.control.list()).length;
  await world.github.addLabel(pull, LABEL, { by });
  return world.nextRun(before);
}

/** The run once it has ended, its words are out and its receipt is stored. */
export function ended(world: TestWorld, id: string, ms = SOON_MS): Promise<RunView> {
  return world.control.waitFor(id, ({ run, receipt }) => run.phase === "done" && run.archived && receipt !== null, ms);
}

/** How a run ended. Fails if it has not. */
export function endingOf({ run }: RunView): { outcome: string; code: string; detail: string } {
  if (run.phase !== "done") {
    throw new Error(`${run.id} is ${run.phase}`);
  }
  return run.ending;
}

/**
 * What a run put on its pull request. Fails unless that is one comment in all and one check run of its own, and the
 * label is off.
 */
export function published(world: TestWorld, pull: PullRef, id: string): { comment: Comment; check: CheckRun } {
  const { comments, labels } = world.github.pullRequest(pull);
  const checks = world.github.checkRuns(pull.repo).filter(({ externalId }) => externalId === id);
  const ours = comments.filter(({ viaApp }) => viaApp);
  expect(ours).toHaveLength(1);
  expect(checks).toHaveLength(1);
  expect(labels).not.toContain(LABEL);
  const [comment] = ours;
  const [check] = checks;
  if (comment === undefined || check === undefined) {
    throw new Error("nothing was published");
  }
  expect(comment.body).toContain(id);
  expect(check.status).toBe("completed");
  return { comment, check };
}

/** Every delivery as the service keeps it, the newest first. */
export async function deliveries(world: TestWorld): Promise<DeliveryRecord[]> {
  return (await askService<{ deliveries: DeliveryRecord[] }>(world.stateDir, "GET", "/deliveries")).deliveries;
}

/** What became of a delivery, once it was handled. */
export function handled(world: TestWorld, guid: string): Promise<DeliveryRecord> {
  return eventually(
    async () => (await deliveries(world)).find(({ id, state }) => id === guid && state !== "accepted") ?? null,
    SOON_MS,
    async () => `delivery ${guid}: ${JSON.stringify(await deliveries(world))}`,
  );
}

/** The newest delivery of that kind in GitHub's log. */
export function sent(world: TestWorld, event: string, action: string | null): Delivery {
  const found = world.github.deliveries().findLast((one) => one.event === event && one.action === action);
  if (found === undefined) {
    throw new Error(`GitHub sent no ${event} ${action ?? ""}`);
  }
  return found;
}

/** Waits until no machine is left: no record, no process. */
export async function noMachineLeft(world: TestWorld): Promise<void> {
  const left = async () => {
    const { machines } = await askService<{ machines: number }>(world.stateDir, "GET", "/ready");
    return machines + (await processesNaming(`${world.stateDir}/machines/`)).length;
  };
  await eventually(
    async () => ((await left()) === 0 ? true : null),
    MACHINE_GONE_MS,
    async () => `${await left()} machines or processes of them`,
  );
}

/** GitHub has nothing to complain about: every request was known, and within its published description. */
export function expectGoodManners({ github }: TestWorld): void {
  expect(github.unknownRequests).toEqual([]);
  expect(github.contractViolations).toEqual([]);
}

/** Ends the world whatever happens. Fails if a machine is left, or if GitHub had anything to complain about. */
export async function leave(world: TestWorld): Promise<void> {
  try {
    // A test that failed may have left a run at work.
    for (const { id, phase } of await world.control.list()) {
      if (phase !== "done") {
        await world.control.cancel(id);
      }
    }
    await noMachineLeft(world);
    expectGoodManners(world);
  } finally {
    await world.close();
  }
}

/** Runs the command line to its end, with this environment alone. */
export async function mayfly(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...hostEnvironment(), ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: COMMAND_MS,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, stdout, stderr };
}
