import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { processesWith } from "./testing/processes.ts";
import { createPullRequest } from "./testing/pull-request.ts";
import { createSourceWorld, runOn, TOKEN, type SourceWorld } from "./testing/source-world.ts";

let world: SourceWorld;

beforeEach(async () => {
  world = await createSourceWorld();
});

afterEach(async () => {
  await world.close();
});

describe("the token", () => {
  it("is in no command line, environment or file while git uses it", async () => {
    const pull = await createPullRequest(world);
    let seen: Awaited<ReturnType<typeof look>> | undefined;
    const server = await world.serve({
      async intercept(request) {
        if (request.method === "POST") {
          seen ??= await look();
        }
        return false;
      },
    });
    await world.sources(server.url, pull).ensurePacked(runOn(pull));
    expect(seen?.token).toEqual({ commands: [], environments: [] });
    expect(seen?.files).toEqual([]);
    // The search does look into git itself.
    expect(seen?.git.environments.length).toBeGreaterThan(1);
    expect(world.lent()).toBe(1);
  });

  it("would be found if it were there", async () => {
    await mkdir(join(world.stateDir, "deep"), { recursive: true });
    await writeFile(join(world.stateDir, "deep", "planted"), `password=${TOKEN}\n`);
    const careless = spawn("sleep", ["60"], { env: { TOKEN }, stdio: "ignore" });
    const worse = spawn(
      "tail",
      ["-f", "/dev/null", "--pid", String(process.pid), `--max-unchanged-stats=1`, "--", TOKEN],
      {
        stdio: "ignore",
        env: {},
      },
    );
    try {
      await Promise.all([once(careless, "spawn"), once(worse, "spawn")]);
      const { token, files } = await look();
      expect(token.environments).toContain(String(careless.pid));
      expect(token.commands).toContain(String(worse.pid));
      expect(files).toEqual([join("deep", "planted")]);
    } finally {
      careless.kill();
      worse.kill();
      await Promise.all([once(careless, "exit"), once(worse, "exit")]);
    }
  });
});

async function look() {
  const files: string[] = [];
  for (const name of await readdir(world.stateDir, { recursive: true })) {
    const text = await readFile(join(world.stateDir, name), "latin1").catch(() => "");
    if (text.includes(TOKEN)) {
      files.push(name);
    }
  }
  return { token: await processesWith(TOKEN), git: await processesWith("GIT_DIR=/mirror"), files };
}
