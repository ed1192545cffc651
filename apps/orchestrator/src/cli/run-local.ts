import { createHash } from "node:crypto";
import { chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  AppError,
  composeLocalPrompt,
  type Config,
  type Digest,
  limits,
  readTaskOption,
  requestRun,
  resolveTask,
  type Run,
  type RunId,
  type SourceLayout,
  type TaskOptions,
  type TaskSpec,
  unsafeLeave,
} from "@mayfly/core";
import { type Account, readAccounts } from "../host/account.ts";
import { systemClock } from "../host/clock.ts";
import { randomIds } from "../host/ids.ts";
import { prepareImage } from "../process/machine-host.ts";
import { brokerPart, prepareFolders } from "../process/parts.ts";
import { type LocalSettings, serviceConfigOf } from "../process/settings.ts";
import { supervise } from "../process/supervise.ts";
import { createSources } from "../source/sources.ts";
import { createProgress } from "./progress.ts";
import { loadSettings } from "./settings.ts";
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

/**
 * `mayfly run local`: the service's own way, without GitHub: its state lives in a folder of its own that is gone
 * afterwards. Exit code 0 only if Codex has answered and the machine is proved gone.
 */
export async function runLocal(terminal: Terminal, path: string, flags: Flags): Promise<number> {
  const config = loadSettings(terminal, {});
  const task = taskOf(flags, config);
  const broker = brokerPart(config, "local");
  const progress = createProgress(terminal);
  const image = await prepareImage(config, progress);
  const accounts = terminal.isRoot ? readAccounts() : null;
  const stateDir = mkdtempSync(join(tmpdir(), "mayfly-"));
  try {
    const id = randomIds.run(systemClock.now());
    // Still as the person who typed the command: the folder is theirs to read.
    const asked = { id, path: resolve(path), user: terminal.env["USER"] ?? "", task, prompt: flags.prompt };
    const layout = await packFolder(stateDir, localRun(asked, ""));
    progress.say(`source: ${layout.head.slice(0, 12)}, ${Math.ceil(layout.pack_bytes / 1024)} KiB`);
    if (accounts !== null) {
      giveAway(stateDir, accounts.service);
    }
    prepareFolders(stateDir, stateDir, accounts);
    const settings: LocalSettings = {
      config: { ...serviceConfigOf(config), stateDir, sharedDir: stateDir },
      image,
      run: localRun(asked, promptOf(asked, layout)),
      json: flags.json === true,
      logLevel: terminal.env["MAYFLY_LOG_LEVEL"] === undefined ? null : config.logLevel,
    };
    return await supervise({
      terminal,
      main: { name: "local", account: accounts?.service ?? null, settings },
      others: [
        {
          ...broker,
          settings: {
            ...broker.settings,
            stateDir,
            sharedDir: stateDir,
            spreadAs: null,
            redisUrl: null,
            door: null,
            logLevel: settings.logLevel ?? "warn",
          },
          account: accounts?.broker ?? null,
        },
      ],
    });
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
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
    const fix = task.safetyStrategy === "unsafe" ? `; ${unsafeLeave}` : "";
    throw new AppError(
      "INPUT_INVALID",
      `--safety-strategy: ${task.safetyStrategy} is not allowed here; allowed: ${allowed}${fix}`,
    );
  }
  return task;
}

/** The folder and all in it, which root has made so far. */
function giveAway(folder: string, { uid, gid }: Account): void {
  const inside = readdirSync(folder, { recursive: true, withFileTypes: true });
  for (const path of [folder, ...inside.map(({ parentPath, name }) => join(parentPath, name))]) {
    chownSync(path, uid, gid);
  }
}
