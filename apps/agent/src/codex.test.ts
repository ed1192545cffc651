import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { AgentEvent, Assignment } from "@mayfly/core/protocol";
import { afterEach, describe, expect, it } from "vitest";
import type { Cgroup } from "./cgroup.ts";
import { runCodex } from "./codex.ts";
import type { CodexEnd } from "./codex.ts";
import type { Confinement } from "./confinement.ts";
import { createStop } from "./stop.ts";
import type { Stop } from "./stop.ts";
import { unprivilegedUser } from "./strategies/unprivileged-user.ts";

const codex: Assignment["codex"] = {
  prompt: "Look at it.",
  model: "gpt-5.5",
  effort: null,
  sandbox: "workspace-write",
  safety_strategy: "unprivileged-user",
  working_directory: "",
  output_schema: null,
  args: [],
};

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) {
    clean();
  }
});

/** Runs a shell script where the CLI would run, in a process group in place of a cgroup. */
async function run(
  script: string,
  onEvent: (event: AgentEvent, stop: Stop) => void = () => {},
): Promise<{ end: CodexEnd; events: AgentEvent[] }> {
  let child: ChildProcess | null = null;
  const confinement: Pick<Confinement, "start"> = {
    start(_program, _cgroup, stdio) {
      child = spawn("/bin/sh", ["-c", script], { stdio, detached: true });
      return child;
    },
  };
  const cgroup: Cgroup = {
    name: "codex",
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
  const stop = createStop(60_000);
  cleanups.push(() => stop.clear());
  const events: AgentEvent[] = [];
  function push(event: AgentEvent): void {
    events.push(event);
    onEvent(event, stop);
  }
  const end = await runCodex({ confinement, cgroup, strategy: unprivilegedUser, codex, push, stop });
  return { end, events };
}

const usage = '{"input_tokens":5,"cached_input_tokens":3,"output_tokens":2,"reasoning_output_tokens":1}';

describe("runCodex", () => {
  it("gives the prompt on stdin, passes every line on, and remembers the usage", async () => {
    const { end, events } = await run(`cat; echo; echo '{"type":"turn.completed","usage":${usage}}'`);
    expect(end).toEqual({ exitCode: 0, endedBy: "exit", error: null, usage: JSON.parse(usage) });
    expect(events).toEqual([
      { type: "codex_started" },
      { type: "codex", line: "Look at it." },
      { type: "codex", line: `{"type":"turn.completed","usage":${usage}}` },
      { type: "codex_exited", exit_code: 0 },
    ]);
  });

  it("ends when the CLI has exited, though a child holds its output open", async () => {
    const { end, events } = await run("sleep 600 & echo last; exit 3");
    expect(end).toMatchObject({ exitCode: 3, endedBy: "exit" });
    expect(events).toContainEqual({ type: "codex", line: "last" });
  });

  it("tells the CLI's own error rather than what it printed", async () => {
    const failed = '{"type":"turn.failed","error":{"message":"quota exceeded"}}';
    expect((await run(`echo '${failed}'; echo noise >&2; exit 1`)).end.error).toBe("quota exceeded");
    expect((await run("echo 'unknown flag' >&2; exit 2")).end).toMatchObject({ exitCode: 2, error: "unknown flag" });
  });

  it("says who ended it", async () => {
    const wait = "echo ready; sleep 600 & wait";
    const onReady = (why: "deadline" | "cancelled") => (event: AgentEvent, stop: Stop) => {
      if (event.type === "codex") {
        stop.throw(why);
      }
    };
    expect((await run(wait, onReady("deadline"))).end).toMatchObject({ exitCode: null, endedBy: "deadline" });
    expect((await run(wait, onReady("cancelled"))).end).toMatchObject({ exitCode: null, endedBy: "stop" });
    expect((await run("kill -9 $$")).end).toMatchObject({ exitCode: null, endedBy: "signal" });
  });

  it("does not lose a stop that came before the CLI started", async () => {
    const { end } = await run("sleep 600", (event, stop) => {
      if (event.type === "codex_started") {
        stop.throw("superseded");
      }
    });
    expect(end.endedBy).toBe("stop");
  });
});
