import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import {
  AppError,
  composeLocalPrompt,
  type Config,
  type Digest,
  limits,
  readTaskOption,
  renderSteps,
  requestRun,
  resolveTask,
  type Run,
  type RunId,
  type SourceLayout,
  type TaskOptions,
  type TaskSpec,
} from "@mayfly/core";
import { buildService, type Service } from "../app.ts";
import { createAbsentGitHub } from "../github/absent.ts";
import { systemClock } from "../host/clock.ts";
import { dropRoot } from "../host/drop-root.ts";
import { randomIds } from "../host/ids.ts";
import { preloadLateModules } from "../host/preload.ts";
import { createLog } from "../host/log.ts";
import { createSources } from "../source/sources.ts";
import { startEmbeddedRedis } from "../store/embedded-redis.ts";
import { prepareImage, prepareMachines } from "./machine-host.ts";
import { createProgress, type Progress } from "./progress.ts";
import { printLocalRun } from "./run-local-report.ts";
import { loadSettings, requireModel } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly prompt: string;
  readonly model?: string;
  readonly effort?: string;
  readonly sandbox: string;
  readonly safetyStrategy: string;
  readonly timeout: string;
  readonly json?: boolean;
}

const POLL_MS = 100;
/** A machine that cannot be launched twice cannot be launched. */
const LAUNCH_FAILURES_MAX = 2;

/**
 * `mayfly run local`: the service's own way, without GitHub: its state lives in a folder of its own that is gone
 * afterwards. Exit code 0 only if Codex has answered and the machine is proved gone.
 */
export async function runLocal(terminal: Terminal, path: string, flags: Flags): Promise<number> {
  const config = loadSettings(terminal, {});
  const task = taskOf(flags, config);
  const model = requireModel(config);
  const progress = createProgress(terminal);
  const image = await prepareImage(config, progress);
  const stateDir = mkdtempSync(join(tmpdir(), "mayfly-"));
  try {
    const id = randomIds.run(systemClock.now());
    // Still as the person who typed the command: the folder is theirs to read.
    const asked = { id, path: resolve(path), user: terminal.env["USER"] ?? "", task, prompt: flags.prompt };
    const layout = await packFolder(stateDir, localRun(asked, ""));
    progress.say(`source: ${layout.head.slice(0, 12)}, ${Math.ceil(layout.pack_bytes / 1024)} KiB`);
    const run = localRun(asked, promptOf(asked, layout));
    await preloadLateModules();
    dropRoot(everythingIn(stateDir));
    return await serveOne({ terminal, config, stateDir, image, model, run, progress, json: flags.json === true });
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function serveOne(options: {
  terminal: Terminal;
  config: Config;
  stateDir: string;
  image: Awaited<ReturnType<typeof prepareImage>>;
  model: string;
  run: Run;
  progress: Progress;
  json: boolean;
}): Promise<number> {
  const { terminal, config, stateDir, image, model, run, progress } = options;
  // A person watches: the steps are told as they come, and the log only when it was asked for or something is wrong.
  const { log, hide } = createLog({ level: terminal.env["MAYFLY_LOG_LEVEL"] === undefined ? "warn" : config.logLevel });
  hide(model);
  const redis = await startEmbeddedRedis(`${stateDir}/redis`);
  try {
    const host = await prepareMachines(config, { stateDir, image, log });
    const service = await buildService({
      stateDir,
      redis: redis.address,
      clock: systemClock,
      ids: randomIds,
      log,
      provider: host.provider,
      channelFolder: (id) => host.provider.channelFolder(id),
      confine: host.confine,
      removeConfined: host.removeConfined,
      model: { url: config.model.url, credential: () => model },
      modelDefault: config.model.default,
      github: createAbsentGitHub(),
      githubHost: "github.com",
      gitUrl: () => "",
      webhookSecrets: [],
      secrets: () => [model],
      policy: config.policy,
      machinesMax: 1,
      warm: 0,
      launchFailuresMax: LAUNCH_FAILURES_MAX,
    });
    try {
      await service.submit(run);
      await service.start();
      const ended = await follow(service, run.id, terminal, progress);
      return await printLocalRun({
        terminal,
        service,
        run: ended,
        model: { name: ended.request.task.model, url: config.model.url },
        json: options.json,
      });
    } finally {
      await service.close();
    }
  } finally {
    await redis.stop();
  }
}

/** Waits for the run's end, telling each step; a person's Ctrl-C cancels it, and its machine is destroyed all the same. */
async function follow(
  service: Service,
  id: RunId,
  terminal: Terminal,
  progress: Progress,
): Promise<Run & { phase: "done" }> {
  let stopping = false;
  terminal.onStop(() => (stopping = true));
  let waiting = "";
  let told = 0;
  for (;;) {
    const run = (await service.store.loadRun(id))?.value;
    if (run === undefined) {
      throw new AppError("NOT_FOUND", `run ${id} is gone`);
    }
    if (stopping) {
      stopping = false;
      progress.say("stopping: the machine is destroyed first");
      await service.cancel(id);
    }
    if (run.phase === "queued" && run.waitingFor !== waiting) {
      waiting = run.waitingFor;
      progress.say(`waiting for ${waiting}`);
    }
    const happened = renderSteps(run);
    for (const { name } of happened.slice(told)) {
      progress.say(name);
    }
    told = Math.max(told, happened.length);
    if (run.phase === "done" && run.archived) {
      return run;
    }
    await wait(POLL_MS);
  }
}

interface Asked {
  readonly id: RunId;
  readonly path: string;
  readonly user: string;
  readonly task: TaskSpec;
  readonly prompt: string;
}

function localRun(asked: Asked, prompt: string): Run {
  const { id, path, user, task } = asked;
  const now = systemClock.now();
  const taskDigest = `sha256:${createHash("sha256").update(asked.prompt).digest("hex")}` as Digest;
  const request = { origin: { kind: "local", user, path }, requestedAt: now, task, taskDigest, prompt } as const;
  return requestRun({ id, request, now });
}

function promptOf(asked: Asked, layout: SourceLayout): string {
  const composed = composeLocalPrompt({
    task: asked.prompt,
    head: layout.head,
    base: layout.base,
    agentsFile: readAgentsFile(asked.path),
    nonce: asked.id.replace("_", ""),
  });
  if (!composed.ok) {
    throw new AppError("INPUT_INVALID", `--prompt: ${composed.reason}`);
  }
  return composed.prompt;
}

function readAgentsFile(path: string): string | null {
  try {
    const text = readFileSync(join(path, "AGENTS.md"), "utf8");
    return Buffer.byteLength(text) <= limits.agentsFileBytesMax ? text : null;
  } catch {
    return null;
  }
}

/** A folder is packed without GitHub and without confinement: it is the person's own, and so is the git that reads it. */
function packFolder(stateDir: string, run: Run): Promise<SourceLayout> {
  const unused = () => {
    throw new Error("a local folder needs no GitHub");
  };
  const sources = createSources({
    stateDir,
    confine: unused,
    firstUidOffset: 0,
    remove: unused,
    gitUrl: unused,
    listCommits: unused,
    withReadToken: unused,
    log: { info: () => undefined },
  });
  return sources.ensurePacked(run);
}

/** The flags as a task, by the rules of task files. Throws INPUT_INVALID naming the flag. */
function taskOf(flags: Flags, config: Config): TaskSpec {
  let options: TaskOptions = {};
  const given = {
    model: flags.model,
    effort: flags.effort,
    sandbox: flags.sandbox,
    "safety-strategy": flags.safetyStrategy,
    timeout: flags.timeout,
  };
  for (const [name, value] of Object.entries(given)) {
    const reading = value === undefined ? null : readTaskOption(name, value);
    if (reading?.ok === false) {
      throw new AppError("INPUT_INVALID", `--${reading.problem}`);
    }
    options = { ...options, ...reading?.options };
  }
  const task = resolveTask("local", options, {
    model: config.model.default,
    timeoutMs: limits.runMsDefault,
    publish: [],
  });
  if (!config.policy.safetyStrategies.includes(task.safetyStrategy)) {
    const allowed = config.policy.safetyStrategies.join(", ");
    throw new AppError(
      "INPUT_INVALID",
      `--safety-strategy: ${task.safetyStrategy} is not allowed here; allowed: ${allowed}`,
    );
  }
  return task;
}

/** The folder and all in it, which root has made so far. */
function everythingIn(folder: string): string[] {
  const inside = readdirSync(folder, { recursive: true, withFileTypes: true });
  return [folder, ...inside.map(({ parentPath, name }) => join(parentPath, name))];
}
