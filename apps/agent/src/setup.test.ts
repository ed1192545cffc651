import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentEvent } from "@mayfly/core/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Cgroup } from "./cgroup.ts";
import type { Confinement } from "./confinement.ts";
import { runSetup } from "./setup.ts";
import { createStop } from "./stop.ts";
import type { Stop } from "./stop.ts";

let folder = "";
let stop: Stop & { clear(): void };
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-setup-"));
  stop = createStop(60_000);
});
afterEach(async () => {
  stop.clear();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the commands on this host, in a process group in place of a cgroup. */
async function setUp(
  commands: readonly string[],
  onEvent: (event: AgentEvent) => void = () => {},
): Promise<{ outcome: Promise<"done" | "stopped">; events: AgentEvent[] }> {
  let child: ChildProcess | null = null;
  const confinement: Pick<Confinement, "start"> = {
    start({ path, args }, _cgroup, stdio) {
      child = spawn(path, args, { stdio, detached: true });
      return child;
    },
  };
  const cgroup: Cgroup = {
    name: "setup",
    path: "",
    async empty() {
      try {
        process.kill(-(child?.pid ?? Number.NaN), "SIGKILL");
      } catch {
        // All of it has gone already.
      }
    },
    async remove() {},
  };
  const events: AgentEvent[] = [];
  function push(event: AgentEvent): void {
    events.push(event);
    onEvent(event);
  }
  const outcome = runSetup({ confinement, cgroup, commands, folder, push, stop });
  await outcome.catch(() => {});
  return { outcome, events };
}

describe("set-up commands", () => {
  it("run in order in the working folder, and say what they did", async () => {
    const { outcome, events } = await setUp(["echo one > file; pwd", "cat file\necho two >&2"]);
    await expect(outcome).resolves.toBe("done");
    expect(events).toEqual([
      { type: "note", text: "set-up command 1 of 2 begins" },
      { type: "setup", line: folder },
      { type: "note", text: "set-up command 1 of 2: exit code 0" },
      { type: "note", text: "set-up command 2 of 2 begins" },
      // Two streams: which comes first is not said.
      { type: "setup", line: expect.stringMatching(/^(one|two)$/) },
      { type: "setup", line: expect.stringMatching(/^(one|two)$/) },
      { type: "note", text: "set-up command 2 of 2: exit code 0" },
    ]);
  });

  it("end with the first that fails, at its first line that fails, and with its last words", async () => {
    const { outcome } = await setUp(["true", "echo no compiler here >&2\nfalse\necho later", "touch never"]);
    await expect(outcome).rejects.toMatchObject({
      step: "setup",
      message: "set-up command 2 of 3: exit code 1; it said at its end:\nno compiler here",
    });
    expect(existsSync(join(folder, "never"))).toBe(false);
  });

  it("leave no process behind, though it left its session's terminal and holds on to the output", async () => {
    const { outcome, events } = await setUp(["sleep 300 & echo $!"]);
    await expect(outcome).resolves.toBe("done");
    const line = events.find((event) => event.type === "setup");
    const pid = line?.type === "setup" ? line.line : "self";
    // One that is dead and not yet waited for has a folder still, and no command line.
    expect(await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).toBe("");
  });

  it("are over when the attempt is stopped, with nothing said against them", async () => {
    const { outcome, events } = await setUp(["echo begun; exec sleep 300", "touch never"], (event) => {
      if (event.type === "setup") {
        stop.throw("deadline");
      }
    });
    await expect(outcome).resolves.toBe("stopped");
    expect(events.at(-1)).toEqual({ type: "setup", line: "begun" });
    expect(existsSync(join(folder, "never"))).toBe(false);
  });

  it("do not crowd out Codex's own events", async () => {
    const { events } = await setUp(["i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo $i; done"]);
    expect(events.filter(({ type }) => type === "setup")).toHaveLength(200);
    expect(events).toContainEqual({ type: "note", text: "800 more lines of it were not kept" });
  });
});
