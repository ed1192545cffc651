import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostEnvironment } from "../support/host-environment.ts";
import { decide, run, say } from "../fakes/model/script.ts";
import { eventually, processesNaming } from "../support/service.ts";
import { createFakeModel, type FakeModel } from "../fakes/model/server.ts";

const MAIN = fileURLToPath(new URL("../../apps/orchestrator/src/main.ts", import.meta.url));
const KEY = "sk-test-of-a-local-run-0123456789";
/** Destroying a machine whose broker is gone waits for that broker first. */
const GONE_MS = 90_000;

let folder: string;
/** Where the command keeps its state while it runs. */
let scratch: string;
let model: FakeModel;

beforeAll(async () => {
  folder = await mkdtemp(`${tmpdir()}/mayfly-local-folder-`);
  scratch = await mkdtemp(`${tmpdir()}/mayfly-scratch-`);
  // As /tmp is: the service user must be able to remove what root has made for it.
  await chmod(scratch, 0o1777);
  await mkdir(`${folder}/src`);
  await writeFile(`${folder}/src/greeting.txt`, "good morning\n");
  const script = [
    run("cat src/greeting.txt && echo evening > src/added.txt"),
    decide(({ output }) => say(`The greeting is: ${output.includes("good morning") ? "good morning" : "unread"}`)),
  ];
  model = await createFakeModel({ apiKey: KEY, script });
});

afterAll(async () => {
  await model.close();
  await rm(folder, { recursive: true, force: true });
  await rm(scratch, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], environment: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [MAIN, "run", "local", ...args], {
    cwd: folder,
    env: { ...hostEnvironment(), TMPDIR: scratch, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function end(child: ChildProcess, onStderr: (text: string) => void = () => undefined): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    onStderr(stderr);
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

function withModel(): Record<string, string> {
  return { OPENAI_API_KEY: KEY, OPENAI_BASE_URL: model.url, MAYFLY_ALLOW_EMULATION: "true" };
}

describe("mayfly run local", () => {
  it("prints the answer, the patch and the proof that the machine is gone, and touches nothing in the folder", async () => {
    const { code, stdout, stderr } = await end(start(["--prompt", "Read the greeting", "--json"], withModel()));
    expect(stderr).toContain("machine gone");
    const document = JSON.parse(stdout) as Record<string, unknown>;
    expect(document).toMatchObject({
      outcome: "succeeded",
      answer: "The greeting is: good morning",
      machine: { provider: "qemu", gone: true },
      receipt: { outcome: "succeeded", attempts: 1, machines: [{ epoch: 1 }] },
    });
    expect(document["patch"]).toContain("+evening");
    expect(code).toBe(0);
    expect(await readdir(`${folder}/src`)).toEqual(["greeting.txt"]);
    expect(await readdir(scratch)).toEqual([]);
    expect(model.violations).toEqual([]);
  });

  it("destroys the machine before it ends when a person stops it", async () => {
    const child = start(["--prompt", "Read the greeting"], withModel());
    const { code, stderr } = await end(child, (text) => {
      if (text.includes("machine claimed") && !text.includes("stopping")) {
        child.kill("SIGINT");
      }
    });
    expect(code).toBe(1);
    expect(stderr).toContain("cancelled");
    expect(stderr).toContain("is gone");
    expect(await readdir(scratch)).toEqual([]);
  });

  it("leaves no machine, no process and no file of it when it is killed", async () => {
    const child = start(["--prompt", "Read the greeting"], withModel());
    await end(child, (text) => {
      if (text.includes("machine claimed")) {
        child.kill("SIGKILL");
      }
    });
    expect(child.signalCode).toBe("SIGKILL");
    await eventually(
      async () => ((await processesNaming(scratch)).length === 0 ? true : null),
      GONE_MS,
      async () => `processes left: ${(await processesNaming(scratch)).join(", ")}`,
    );
    const left = await readdir(scratch, { recursive: true, withFileTypes: true });
    expect(left.filter((one) => one.isFile()).map(({ name }) => name)).toEqual([]);
    await Promise.all((await readdir(scratch)).map((name) => rm(`${scratch}/${name}`, { recursive: true })));
  });

  it.each([
    ["no prompt", [], {}, 2, "--prompt"],
    ["no key", ["--prompt", "x"], {}, 4, "OPENAI_API_KEY"],
    ["an unknown effort", ["--prompt", "x", "--effort", "hihg"], { OPENAI_API_KEY: KEY }, 2, "high"],
    ["a folder that is not there", ["--prompt", "x", "/nowhere"], { OPENAI_API_KEY: KEY }, 2, "/nowhere"],
    [
      "a strategy that is refused",
      ["--prompt", "x", "--safety-strategy", "unsafe"],
      { OPENAI_API_KEY: KEY },
      2,
      "unsafe",
    ],
    ["a misspelt setting", ["--prompt", "x"], { OPENAI_API_KEY: KEY, MAYFLY_MODLE: "y" }, 2, "MAYFLY_MODEL"],
  ])("says what is wrong, and ends with its code: %s", async (_name, args, environment, code, words) => {
    const ended = await end(start(args, environment));
    expect(ended.stderr).toContain(words);
    expect(ended.code).toBe(code);
  });

  it("refuses emulation unless it is allowed, since it isolates nothing", async () => {
    const { code, stderr } = await end(
      start(["--prompt", "x"], { OPENAI_API_KEY: KEY, OPENAI_BASE_URL: model.url, MAYFLY_ALLOW_EMULATION: "false" }),
    );
    // Where KVM works there is nothing to refuse.
    expect(code === 0 || stderr.includes("MAYFLY_ALLOW_EMULATION=true")).toBe(true);
  });
});
