import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readFile, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { codexArguments } from "../../../apps/agent/src/invocation.ts";
import { places, RELAY_PORT } from "../../../apps/agent/src/places.ts";
import { readLock } from "../../../infra/image/src/lock.ts";
import { fetchNpmPackage } from "../../../infra/image/src/npm.ts";
import { rootRecipe } from "../../../infra/image/src/recipe.ts";
import { runTool } from "../../../infra/image/src/run-tool.ts";

/** Unpacking 370 MB. */
const UNPACK_MS = 120_000;
/** Two turns against a local model take a second; a busy host more. */
const RUN_MS = 60_000;
const OUTPUT_CHARS_MAX = 64 * 1024;
const VENDOR = "package/vendor/x86_64-unknown-linux-musl";
/** `nobody`: the CLI behaves otherwise as root. */
const NOBODY = 65_534;
const IS_ROOT = process.getuid?.() === 0;
/** The CLI (0.169.0) makes this folder whatever TMPDIR says, and leaves it. */
const DAEMON = `/tmp/codex-daemon-${IS_ROOT ? NOBODY : process.getuid?.()}`;

interface RunOptions {
  readonly model: string;
  readonly prompt: string;
  /** Where on loopback the model is asked. */
  readonly port: number;
  /** What the last message must look like, as JSON Schema. */
  readonly outputSchema?: string;
}

/** The CLI of the image, unpacked into a folder of its own. */
export interface CodexCli {
  /** Answers one prompt with the arguments that a machine's agent uses, asking the model at that port of loopback. */
  run(options: RunOptions): Promise<CodexRun>;
  remove(): Promise<void>;
}

interface CodexRun {
  readonly exitCode: number | null;
  readonly lastMessage: string;
  /** The end of all it printed. */
  readonly output: string;
}

/**
 * Fetches the CLI that the image's lock names, with the ordinary npm client (a copy in its cache will do), and unpacks it.
 *
 * @throws AppError IMAGE_BUILD_FAILED when it cannot be fetched.
 */
export async function unpackCodex(): Promise<CodexCli> {
  const root = await mkdtemp(join(tmpdir(), "mayfly-codex-cli-"));
  try {
    const { tarball } = await fetchNpmPackage({ ...rootRecipe.npm.codex, workDir: root, lock: await readLock() });
    const folder = join(root, "codex");
    await mkdir(folder);
    await runTool({
      command: "tar",
      args: [
        "--extract",
        `--file=${tarball}`,
        `--directory=${folder}`,
        "--strip-components=3",
        "--no-same-owner",
        `--exclude=${VENDOR}/codex-resources/voice`,
        VENDOR,
      ],
      timeoutMs: UNPACK_MS,
    });
    await rm(tarball);
    await chmod(root, 0o755);
    const wasThere = (await stat(DAEMON).catch(() => null)) !== null;
    return {
      run: (options) => run(root, options),
      async remove() {
        await rm(root, { recursive: true, force: true });
        if (!wasThere) {
          await rmdir(DAEMON).catch(orMissing);
        }
      },
    };
  } catch (error) {
    await rm(root, { recursive: true, force: true });
    throw error;
  }
}

async function run(root: string, options: RunOptions): Promise<CodexRun> {
  const folder = await mkdtemp(join(root, "run-"));
  const inside = { repository: join(folder, "repo"), home: join(folder, "home"), out: join(folder, "home/out") };
  const temporary = join(folder, "tmp");
  for (const path of [folder, inside.repository, inside.home, inside.out, join(inside.home, ".codex"), temporary]) {
    await mkdir(path, { recursive: true });
    if (IS_ROOT) {
      await chown(path, NOBODY, NOBODY);
    }
  }
  const schema = join(folder, "schema.json");
  await writeFile(schema, options.outputSchema ?? "", { mode: 0o644 });
  const codex = {
    prompt: options.prompt,
    model: options.model,
    effort: "high",
    sandbox: "workspace-write",
    safety_strategy: "unprivileged-user",
    working_directory: "",
    output_schema: options.outputSchema ?? null,
    args: [],
  } as const;
  const args = codexArguments({ ...codex, args: [] }, codex.sandbox).map((arg) =>
    arg
      .replaceAll(places.repository, inside.repository)
      .replaceAll(places.home, inside.home)
      .replaceAll(places.schema, schema)
      .replaceAll(`127.0.0.1:${RELAY_PORT}`, `127.0.0.1:${options.port}`),
  );
  const environment = {
    HOME: inside.home,
    CODEX_HOME: join(inside.home, ".codex"),
    TMPDIR: temporary,
    PATH: "/usr/local/bin:/usr/bin:/bin",
    LANG: "C.UTF-8",
  };
  const child = spawn(join(root, "codex/bin/codex"), args, {
    cwd: inside.repository,
    env: environment,
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own, so that nothing it started outlives it.
    detached: true,
    ...(IS_ROOT ? { uid: NOBODY, gid: NOBODY } : {}),
  });
  let output = "";
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString("utf8")).slice(-OUTPUT_CHARS_MAX);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  child.stdin.on("error", () => {});
  child.stdin.end(options.prompt);
  const killGroup = () => {
    try {
      process.kill(-(child.pid ?? Number.NaN), "SIGKILL");
    } catch {
      // The group has ended already.
    }
  };
  const deadline = setTimeout(killGroup, RUN_MS);
  const [exitCode] = (await once(child, "exit")) as [number | null];
  clearTimeout(deadline);
  killGroup();
  const lastMessage = await readFile(join(inside.out, "last-message.md"), "utf8").catch(() => "");
  return { exitCode, lastMessage, output };
}

function orMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") {
    throw error;
  }
}
