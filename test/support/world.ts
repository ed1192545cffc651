import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createFakeGitHub, type FakeGitHub } from "../fakes/github/server.ts";
import type { Script } from "../fakes/model/script.ts";
import { createFakeModel, type FakeModel, type FakeModelOptions } from "../fakes/model/server.ts";
import { controlOf, eventually, makeStateDir, processesNaming, type RunningService, startService } from "./service.ts";

/** Destroying every machine and ending the service. */
const CLOSE_MS = 60_000;

/** GitHub, the model, and the real service between them. */
export interface TestWorld {
  readonly github: FakeGitHub;
  /** Null when a real model answers. */
  readonly model: FakeModel | null;
  readonly stateDir: string;
  /** The one static key; of no use where `modelAccess` says which are. */
  readonly modelKey: string;
  readonly control: ReturnType<typeof controlOf>;
  /** The service as it runs now. */
  readonly service: () => RunningService;
  /** Starts it again on the same state folder, after it was stopped or killed. */
  restart(): Promise<void>;
  /** The newest run, once there is one more than `before`. */
  nextRun(before: number): Promise<string>;
  /** Ends everything, and fails if anything is left: a machine, a process, a socket. */
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly script?: Script;
  readonly scripts?: Parameters<typeof createFakeModel>[0]["scripts"];
  /** A real model instead of the scripted one. */
  readonly realModel?: { readonly url: string; readonly key: string; readonly name: string };
  /** Which keys the scripted model takes, and the settings by which the broker comes by one, in place of a static key. */
  readonly modelAccess?: Pick<FakeModelOptions, "apiKey" | "keyHeader"> & {
    readonly environment: Readonly<Record<string, string>>;
  };
  readonly environment?: Record<string, string>;
  readonly onLog?: (line: string) => void;
  /** A program that runs in place of `mayfly serve`. */
  readonly entry?: string;
}

/** Starts all three, with webhooks on their way to the service. */
export async function startWorld(options: WorldOptions = {}): Promise<TestWorld> {
  const webhookSecret = randomBytes(20).toString("hex");
  const modelKey = options.realModel?.key ?? `sk-test-${randomBytes(24).toString("hex")}`;
  const github = await createFakeGitHub({ webhookSecret });
  const model = options.realModel === undefined ? await createFakeModel(modelOptions(options, modelKey)) : null;
  const state = await makeStateDir();
  const secrets = await makeStateDir();
  const keyFile = join(secrets.path, "app.pem");
  await writeFile(keyFile, github.privateKeyPem ?? "", { mode: 0o600 });
  const environment = {
    MAYFLY_STATE_DIR: state.path,
    MAYFLY_GITHUB_URL: github.url,
    MAYFLY_GITHUB_WEB_URL: github.url,
    MAYFLY_GITHUB_GIT_URL: github.gitUrl,
    MAYFLY_GITHUB_APP_ID: String(github.appId),
    MAYFLY_GITHUB_PRIVATE_KEY_FILE: keyFile,
    MAYFLY_WEBHOOK_SECRET: webhookSecret,
    MAYFLY_LISTEN_WEBHOOK_PORT: "0",
    MAYFLY_LISTEN_INTERNAL_PORT: "0",
    MAYFLY_ALLOW_EMULATION: "true",
    ...(options.modelAccess?.environment ?? { OPENAI_API_KEY: modelKey }),
    OPENAI_BASE_URL: options.realModel?.url ?? model?.url ?? "",
    ...(options.realModel === undefined ? {} : { MAYFLY_MODEL: options.realModel.name }),
    ...options.environment,
  };
  let service: RunningService;
  async function start(): Promise<void> {
    service = await startService(environment, options.onLog, options.entry);
    github.setWebhook({ url: service.addresses.webhook });
  }
  const control = controlOf(state.path);
  try {
    await start();
  } catch (error) {
    await Promise.all([github.close(), model?.close(), state.remove(), secrets.remove()]);
    throw error;
  }

  return {
    github,
    model,
    stateDir: state.path,
    modelKey,
    control,
    service: () => service,
    restart: start,
    nextRun: (before) =>
      eventually(
        async () => {
          const runs = await control.list();
          return runs.length > before ? (runs[0]?.id ?? null) : null;
        },
        CLOSE_MS,
        async () => service.log().slice(-2_000),
      ),
    async close() {
      try {
        await endRuns(control);
        await service.stop();
        await eventually(
          async () => ((await processesNaming(state.path)).length === 0 ? true : null),
          CLOSE_MS,
          async () => `processes left: ${(await processesNaming(state.path)).join(", ")}`,
        );
      } finally {
        await service.kill();
        await Promise.all([github.close(), model?.close(), state.remove(), secrets.remove()]);
      }
    },
  };
}

function modelOptions(options: WorldOptions, modelKey: string): FakeModelOptions {
  const { script, scripts, modelAccess } = options;
  const { apiKey, keyHeader } = modelAccess ?? { apiKey: modelKey };
  const access = { apiKey, ...(keyHeader === undefined ? {} : { keyHeader }) };
  return { ...access, ...(script === undefined ? {} : { script }), ...(scripts === undefined ? {} : { scripts }) };
}

/** Cancels what lives and waits until its machines are gone. */
async function endRuns(control: ReturnType<typeof controlOf>): Promise<void> {
  for (const { id, phase } of await control.list()) {
    if (phase !== "done") {
      await control.cancel(id);
      await control.waitFor(id, ({ run }) => run.phase === "done", CLOSE_MS);
    }
  }
}
