import { readdir, rm } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { AppError, renderSteps, type Run, type RunId } from "@mayfly/core";
import { buildService, type Service } from "../app.ts";
import { createProgress, type Progress } from "../cli/progress.ts";
import { printLocalRun } from "../cli/run-local-report.ts";
import type { Terminal } from "../cli/terminal.ts";
import { createAbsentGitHub } from "../github/absent.ts";
import { listenOnSocket } from "../host/listen.ts";
import { createLog } from "../host/log.ts";
import { embeddedRedisFolder, startEmbeddedRedis } from "../store/embedded-redis.ts";
import { prepareParts } from "./service-parts.ts";
import type { LocalSettings } from "./settings.ts";
import { sockets } from "./sockets.ts";

const POLL_MS = 100;
/** A machine that cannot be launched twice cannot be launched. */
const LAUNCH_FAILURES_MAX = 2;
/** Told to stop before there was a run. */
const STOPPED = 1;

/**
 * The service's process for one local run: as for GitHub, without GitHub, and so without a signer.
 *
 * @returns The exit code: 0 only if Codex has answered and the machine is proved gone.
 */
export async function runLocalService(
  terminal: Terminal,
  settings: LocalSettings,
  readyForOthers: () => void,
): Promise<number> {
  const { config, image, run, json } = settings;
  const { stateDir } = config;
  let isStopping = false;
  let isOrphaned = false;
  const stopped = new Promise<"stopped">((resolve) => {
    const stop = () => {
      isStopping = true;
      resolve("stopped");
    };
    terminal.onStop(stop);
    // There is no next start that would find the machine and the Redis: they end with us.
    terminal.onOrphaned(() => {
      isOrphaned = true;
      stop();
    });
  });
  const progress = createProgress(terminal);
  // A person watches: the steps are told as they come, and the log only when it was asked for or something is wrong.
  const { log } = createLog({ level: settings.logLevel ?? "warn" });
  const redis = await startEmbeddedRedis(embeddedRedisFolder(stateDir));
  try {
    const { broker, shared } = await prepareParts(config, { image, aws: null, log, redis: redis.address });
    const service = await buildService({
      ...shared,
      github: createAbsentGitHub(),
      githubHost: "github.com",
      gitUrl: () => "",
      webhookSecrets: [],
      checksTasks: false,
      looksForDeliveries: false,
      isOneOfMany: false,
      findSecrets: broker.findSecrets,
      signReceipt: null,
      fleet: {
        ...config.fleet,
        machinesMax: 1,
        machinesPerInstallationMax: null,
        warm: 0,
        warmMax: 0,
        warmSchedule: [],
      },
      launchFailuresMax: LAUNCH_FAILURES_MAX,
    });
    try {
      await listenOnSocket(service.dispatch, sockets.dispatch(stateDir), "group");
      readyForOthers();
      const ready = broker.ready();
      ready.catch(() => undefined);
      if ((await Promise.race([ready, stopped])) === "stopped") {
        return STOPPED;
      }
      await service.submit(run);
      await service.start();
      const ended = await follow(service, run.id, () => isStopping, progress);
      return await printLocalRun({
        terminal,
        service,
        run: ended,
        model: { name: ended.request.task.model, url: config.model.url },
        json,
      });
    } finally {
      await service.close();
    }
  } finally {
    await redis.stop();
    if (isOrphaned) {
      await removeOwn(stateDir);
    }
  }
}

/** Whoever made the folder would remove all of it; an empty folder of the broker's may stay. */
async function removeOwn(folder: string): Promise<void> {
  const names = await readdir(folder);
  await Promise.allSettled(names.map((name) => rm(`${folder}/${name}`, { recursive: true, force: true })));
  await rm(folder, { recursive: true, force: true }).catch(() => undefined);
}

/** Waits for the run's end, telling each step; a person's Ctrl-C cancels it, and its machine is destroyed all the same. */
async function follow(
  service: Service,
  id: RunId,
  isStopping: () => boolean,
  progress: Progress,
): Promise<Run & { phase: "done" }> {
  let isCancelled = false;
  let waiting = "";
  let told = 0;
  for (;;) {
    const run = (await service.store.loadRun(id))?.value;
    if (run === undefined) {
      throw new AppError("NOT_FOUND", `run ${id} is gone`);
    }
    if (isStopping() && !isCancelled) {
      isCancelled = true;
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
