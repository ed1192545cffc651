import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunSummary, RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import { processesNaming } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { ended, leave, label, mayfly, openPull } from "./scene.ts";

const NO_RUN = "run_00000000000000000000";

describe("every command", () => {
  it.each([
    [[], ["serve", "run", "receipt", "image"]],
    [["serve"], ["--config", "--state", "docs/reference/configuration.md"]],
    [["run"], ["local", "list", "view", "cancel"]],
    [
      ["run", "local"],
      ["--prompt", "--timeout", "OPENAI_API_KEY"],
    ],
    [
      ["run", "list"],
      ["--json", "--state"],
    ],
    [
      ["run", "view"],
      ["--json", "<run>"],
    ],
    [
      ["run", "cancel"],
      ["--json", "<run>"],
    ],
    [["receipt"], ["show", "verify"]],
    [
      ["receipt", "show"],
      ["<run>", "--state"],
    ],
    [
      ["receipt", "verify"],
      ["<receipt>", "--keys", "--json"],
    ],
    [["image"], ["build", "verify", "lock"]],
    [
      ["image", "build"],
      ["--frozen", "--json"],
    ],
    [["image", "verify"], ["--json"]],
    [["image", "lock"], ["--json"]],
  ])("explains itself on standard output: %j", async (command, words) => {
    const { code, stdout, stderr } = await mayfly([...command, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`Usage: ${["mayfly", ...command].join(" ")}`);
    for (const word of words) {
      expect(stdout).toContain(word);
    }
  });

  it.each([[["srve"]], [["run", "lst"]], [["run", "view"]], [["run", "list", "--jsn"]]])(
    "that was mistyped ends with 2 and says so on standard error: %j",
    async (command) => {
      const { code, stdout, stderr } = await mayfly(command);
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toMatch(/^error: /);
    },
  );
});

describe("settings", () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mayfly-"));
    await writeFile(join(folder, "app.pem"), "not read before the key is asked for", { mode: 0o600 });
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it("with an unknown name end with 2, and the nearest name is suggested", async () => {
    const { code, stderr } = await mayfly(["serve"], {
      MAYFLY_STATE_DIR: folder,
      MAYFLY_WEBHOK_SECRET: "x".repeat(20),
    });
    expect(code).toBe(2);
    expect(stderr).toContain("MAYFLY_WEBHOK_SECRET");
    expect(stderr).toContain("did you mean MAYFLY_WEBHOOK_SECRET?");
    expect(stderr).not.toContain("x".repeat(20));
  });

  it("with a wrong value end with 2, and every mistake is named", async () => {
    const { code, stderr } = await mayfly(["run", "list"], {
      MAYFLY_STATE_DIR: folder,
      MAYFLY_MACHINES_MAX: "many",
      MAYFLY_LOG_LEVEL: "loud",
    });
    expect(code).toBe(2);
    expect(stderr).toContain("MAYFLY_MACHINES_MAX: must be a whole number");
    expect(stderr).toContain("MAYFLY_LOG_LEVEL");
  });

  it("in a file end with 2, with the line and column of a mistake", async () => {
    const file = join(folder, "mayfly.yaml");
    await writeFile(file, "log_level: info\nfleet:\n  warmth: 1\n");
    const { code, stderr } = await mayfly(["serve", "--config", file], { MAYFLY_STATE_DIR: folder });
    expect(code).toBe(2);
    expect(stderr).toContain(`${file}:3:3`);
    expect(stderr).toContain("did you mean");
  });

  it("with a private key that is none end with 2, and nothing of the service is left", async () => {
    // The service's own user must be able to pass to the state folder.
    await chmod(folder, 0o711);
    const state = join(folder, "state");
    const { code, stderr } = await mayfly(["serve"], {
      MAYFLY_STATE_DIR: state,
      MAYFLY_ALLOW_EMULATION: "true",
      MAYFLY_GITHUB_APP_ID: "1",
      MAYFLY_GITHUB_PRIVATE_KEY_FILE: join(folder, "app.pem"),
      MAYFLY_WEBHOOK_SECRET: "x".repeat(20),
      OPENAI_API_KEY: "sk-test",
    });
    expect(code).toBe(2);
    expect(stderr).toContain("the App's private key is no RSA key in PEM");
    expect(await processesNaming(state)).toEqual([]);
  });

  it("without an App end with 2, and say what is needed", async () => {
    const { code, stderr } = await mayfly(["serve"], { MAYFLY_STATE_DIR: folder, OPENAI_API_KEY: "sk-test" });
    expect(code).toBe(2);
    expect(stderr).toContain("MAYFLY_GITHUB_APP_ID");
  });

  it("without a model key end with 4, and say how to set it", async () => {
    const { code, stderr } = await mayfly(["serve"], {
      MAYFLY_STATE_DIR: folder,
      MAYFLY_GITHUB_APP_ID: "1",
      MAYFLY_GITHUB_PRIVATE_KEY_FILE: join(folder, "app.pem"),
      MAYFLY_WEBHOOK_SECRET: "x".repeat(20),
    });
    expect(code).toBe(4);
    expect(stderr).toContain("no model key is set");
    expect(stderr).toContain("Set OPENAI_API_KEY");
  });

  it("that name a state folder where no service runs end with 1, and say so", async () => {
    const { code, stderr } = await mayfly(["run", "list", "--state", folder]);
    expect(code).toBe(1);
    expect(stderr).toContain(`no service runs on the state folder ${folder}`);
  });
});

describe("beside a running service", () => {
  let world: TestWorld;

  beforeAll(async () => {
    world = await startWorld();
  });

  afterAll(() => leave(world));

  it("a second one on the same state folder ends with 1, and the first goes on", async () => {
    const { code, stderr } = await mayfly(["serve"], {
      MAYFLY_STATE_DIR: world.stateDir,
      MAYFLY_GITHUB_APP_ID: "1",
      MAYFLY_GITHUB_PRIVATE_KEY_FILE: await keyFile(),
      MAYFLY_WEBHOOK_SECRET: "x".repeat(20),
      MAYFLY_LISTEN_WEBHOOK_PORT: "0",
      MAYFLY_LISTEN_INTERNAL_PORT: "0",
      MAYFLY_ALLOW_EMULATION: "true",
      OPENAI_API_KEY: "sk-test",
    });
    expect(code).toBe(1);
    expect(stderr).toContain(`another Mayfly works on the state folder ${world.stateDir}`);
    expect(stderr).toContain("Stop the other service, or give this one a state folder of its own with --state.");
    expect((await fetch(`${world.service().addresses.internal}/readyz`)).status).toBe(200);
  });

  it("lists no runs as an empty list, and says what to do", async () => {
    const talk = await mayfly(["run", "list", "--state", world.stateDir]);
    expect(talk).toMatchObject({ code: 0, stdout: "" });
    expect(talk.stderr).toContain("There are no runs yet");
    const json = await mayfly(["run", "list", "--state", world.stateDir, "--json"]);
    expect(json).toEqual({ code: 0, stdout: "[]\n", stderr: "" });
  });

  it("lists, shows and cannot cancel a run that has ended, for people and as JSON", async () => {
    const pull = await openPull(world, { name: "listed", task: null });
    const id = await label(world, pull);
    await ended(world, id);
    const at = ["--state", world.stateDir];

    const list = await mayfly(["run", "list", ...at, "--json"]);
    expect(JSON.parse(list.stdout) as RunSummary[]).toMatchObject([{ id, phase: "done", outcome: "refused" }]);
    expect((await mayfly(["run", "list", ...at])).stdout).toMatch(new RegExp(`^${id}  .*${pull.repo}#1 .*refused\n$`));

    const view = JSON.parse((await mayfly(["run", "view", id, ...at, "--json"])).stdout) as RunView;
    expect(view).toMatchObject({ run: { id, phase: "done" }, events: [], receipt: { run: id, outcome: "refused" } });
    const shown = await mayfly(["run", "view", id, ...at]);
    expect(shown).toMatchObject({ code: 0, stderr: "" });
    expect(shown.stdout).toContain("refused: task_missing");

    const cancel = await mayfly(["run", "cancel", id, ...at, "--json"]);
    expect(cancel.code).toBe(1);
    expect(JSON.parse(cancel.stdout)).toMatchObject({ cancelled: false, run: { id, outcome: "refused" } });
    expect((await mayfly(["run", "cancel", id, ...at])).stderr).toBe(`${id} had ended already: refused.\n`);
  });

  it.each(["view", "cancel"])(
    "run %s of a run that is not there ends with 1, and says how to find one",
    async (verb) => {
      const { code, stdout, stderr } = await mayfly(["run", verb, NO_RUN, "--state", world.stateDir, "--json"]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain(`there is no run ${NO_RUN}`);
      expect(stderr).toContain("mayfly run list");
    },
  );

  it("an id that is none is not taken for a path", async () => {
    const { code, stderr } = await mayfly(["run", "view", "../deliveries", "--state", world.stateDir]);
    expect(code).toBe(1);
    expect(stderr).toContain("there is no run ../deliveries");
  });

  /** The service reads a key before it takes the state folder; this one need not fit an App. */
  async function keyFile(): Promise<string> {
    const file = join(world.stateDir, "other.pem");
    await writeFile(file, world.github.privateKeyPem ?? "", { mode: 0o600 });
    return file;
  }
});
