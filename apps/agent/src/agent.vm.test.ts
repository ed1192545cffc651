import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { defaultCacheDir, ensureImage, measureTscKhz } from "@mayfly/image";
import type { Image } from "@mayfly/image";
import type { Assignment } from "@mayfly/core/protocol";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { run, say, stallBeforeFirstByte } from "../../../test/fakes/model/script.ts";
import type { Script } from "../../../test/fakes/model/script.ts";
import { createFakeModel } from "../../../test/fakes/model/server.ts";
import { bundleAgent } from "./bundle.ts";
import { gateChecks, gateChecksFor } from "./gate.ts";
import { CAPABILITY, KEY, startTestBroker } from "./testing/broker.ts";
import type { TestBroker } from "./testing/broker.ts";
import { bootMachine } from "./testing/machine.ts";
import type { TestMachine } from "./testing/machine.ts";
import { packSource } from "./testing/source.ts";

// The first build of the image fetches a Debian; afterwards it is there.
const IMAGE_MS = 15 * 60_000;
// 15 s on a quiet host.
const RUN_MS = 180_000;
const API_KEY = "sk-test-0000000000000000000000000000000000000000";

describe("the agent in a machine", () => {
  let image: Image;
  let tscKhz: number;
  const cleanups: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    const { code } = await bundleAgent();
    const { uid, homedir: home } = userInfo();
    image = await ensureImage({ cacheDir: defaultCacheDir({ uid, home }), agentBundle: code });
    tscKhz = await measureTscKhz({ kernel: image.kernel });
  }, IMAGE_MS);

  afterEach(async () => {
    for (const clean of cleanups.splice(0).reverse()) {
      await clean();
    }
  });

  async function start(
    script: Script,
    codex: Partial<Assignment["codex"]> = {},
    seconds = 150,
    setup: readonly string[] = [],
    other: Partial<Assignment> = {},
  ): Promise<{ broker: TestBroker; machine: TestMachine }> {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-agent-"));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const model = await createFakeModel({ apiKey: API_KEY, script });
    cleanups.push(() => model.close());
    const { pack, layout } = packSource(folder);
    const socket = join(folder, "broker.sock");
    const assignment = {
      ...assign(layout, codex, seconds),
      ...(setup.length === 0 ? {} : { setup: [...setup] }),
      ...other,
    };
    const broker = await startTestBroker({ socket, assignment, pack, model: { url: model.url, apiKey: API_KEY } });
    cleanups.push(() => broker.close());
    const machine = bootMachine({ image, tscKhz, socket });
    cleanups.push(async () => {
      machine.kill();
      await machine.ended;
    });
    return { broker, machine };
  }

  it(
    "passes its gate, runs Codex, brings back message and patch, and powers off",
    async () => {
      const command =
        "printf 'four\\n' > greeting.txt && printf 'new\\n' > added.txt && git log --oneline mayfly/base..mayfly/head";
      const { broker, machine } = await start([run(command), say("The greeting is four now.")]);
      await machine.ended;

      const { hello, gate, events, frames, modelHeaders, paths } = broker.heard;
      expect(hello).toMatchObject({ protocol: 1, codex: "0.169.0" });
      expect(gate?.checks.filter(({ ok }) => !ok)).toEqual([]);
      expect(gate?.checks.map(({ name }) => name)).toEqual(gateChecks);
      expect(paths.indexOf("/v1/gate")).toBeLessThan(paths.indexOf("/v1/key"));
      expect(frames).toHaveLength(1);
      expect(frames[0]).toMatchObject({
        kind: "result",
        epoch: 1,
        result: {
          codex: { version: "0.169.0", exit_code: 0, ended_by: "exit", error: null },
          final_message: { state: "present", text: "The greeting is four now." },
          structured: null,
          patch: { state: "present" },
        },
      });
      const result = frames[0]?.kind === "result" ? frames[0].result : null;
      const patch = result?.patch.state === "present" ? result.patch.text : "";
      expect(patch).toContain("diff --git a/added.txt b/added.txt\nnew file mode 100644");
      expect(patch).toContain("-three\n+four\n");
      expect(result?.usage?.input_tokens).toBeGreaterThan(0);

      const types = events.map(({ type }) => type);
      expect(types.slice(0, 2)).toEqual(["source_ready", "codex_started"]);
      expect(types.at(-1)).toBe("codex_exited");
      const lines = events.flatMap((event) => (event.type === "codex" ? [event.line] : []));
      expect(lines[0]).toContain("thread.started");
      expect(lines.some((line) => line.includes('"exit_code":0') && line.includes("three"))).toBe(true);

      const sent = Object.keys(modelHeaders[0] ?? {});
      expect(sent.toSorted()).toEqual([
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
      ]);
      expect(machine.console()).not.toContain(KEY);
      expect(machine.console()).not.toContain(CAPABILITY);
    },
    RUN_MS,
  );

  it(
    "brings the changed files themselves where they are asked for, links and all, as inert bytes",
    async () => {
      const command =
        "printf 'four\\n' > greeting.txt && ln -s /etc/passwd link && printf '#!/bin/sh\\n' > x && chmod +x x";
      const { broker, machine } = await start([run(command), say("Done.")], {}, 150, [], { collect_changes: true });
      await machine.ended;
      const [frame] = broker.heard.frames;
      const changes = frame?.kind === "result" ? frame.result.changes : undefined;
      const content = (text: string) => Buffer.from(text).toString("base64");
      expect(changes).toEqual({
        state: "present",
        files: [
          {
            path: "greeting.txt",
            base: expect.stringMatching(/^[0-9a-f]{40}$/) as string,
            mode: "100644",
            content: content("four\n"),
          },
          { path: "link", base: null, mode: "120000", content: content("/etc/passwd") },
          { path: "x", base: null, mode: "100755", content: content("#!/bin/sh\n") },
        ],
      });
    },
    RUN_MS,
  );

  it(
    "runs set-up commands as Codex's user before there is a key, and nothing of them lives on",
    async () => {
      const setup = [
        "id -un; echo built > built.txt; (setsid sh -c 'while :; do date >> late.txt; done' > /dev/null 2>&1 &)",
        "cat < /dev/tcp/10.0.2.2/8080 || wget -T 2 http://10.0.2.2/ || cat /proc/1/environ || echo nowhere",
      ];
      const look = "cat built.txt; a=$(wc -c < late.txt); sleep 1; b=$(wc -c < late.txt); test $a = $b && echo still";
      const { broker, machine } = await start([run(look), say("Done.")], {}, 150, setup);
      await machine.ended;

      const { events, frames, paths, gate } = broker.heard;
      expect(frames[0]).toMatchObject({ kind: "result", result: { codex: { exit_code: 0 } } });
      const said = events.flatMap((event) => (event.type === "setup" ? [event.line] : []));
      expect(said[0]).toBe("codex");
      expect(said.at(-1)).toBe("nowhere");
      expect(gate?.checks.find(({ name }) => name === "processes")?.seen).toContain("0 from earlier");
      const types = events.map(({ type }) => type);
      expect(types.lastIndexOf("setup")).toBeLessThan(types.indexOf("codex_started"));
      expect(paths.indexOf("/v1/events")).toBeLessThan(paths.indexOf("/v1/key"));
      const lines = events.flatMap((event) => (event.type === "codex" ? [event.line] : []));
      expect(lines.some((line) => line.includes("built") && line.includes("still"))).toBe(true);
    },
    RUN_MS,
  );

  it(
    "borrows no key when a set-up command fails, and brings back what it said",
    async () => {
      const { broker, machine } = await start([say("Never.")], {}, 150, ["echo no compiler here >&2; exit 3"]);
      await machine.ended;
      expect(broker.heard.frames).toEqual([
        {
          kind: "failure",
          epoch: 1,
          failure: {
            step: "setup",
            message: "set-up command 1 of 1: exit code 3; it said at its end:\nno compiler here",
          },
        },
      ]);
      expect(broker.heard.paths).not.toContain("/v1/key");
    },
    RUN_MS,
  );

  it(
    "leaves Codex no way to hand out what it should not, however it ends",
    async () => {
      // Full rights of its user: a process that outlives it, a folder in place of the message, a poisoned repository.
      const command = [
        "(setsid sh -c 'while :; do date >> /work/repo/late.txt; done' > /dev/null 2>&1 &)",
        "mv /home/codex/out /home/codex/away; mkdir -p /home/codex/out/last-message.md",
        "git config core.fsmonitor 'touch /work/ran'; git config diff.external 'touch /work/ran'; touch .git/index.lock",
        "printf 'four\\n' > greeting.txt",
        "kill -9 1; cat /proc/1/environ; bash -c 'echo > /dev/tcp/10.0.2.2/8080'; ls /root; echo tried",
      ].join("; ");
      const { broker, machine } = await start([run(command), say("Done.")], { sandbox: "danger-full-access" });
      await machine.ended;

      const [frame] = broker.heard.frames;
      expect(frame).toMatchObject({ kind: "result" });
      const result = frame?.kind === "result" ? frame.result : null;
      expect(result?.final_message).toEqual({ state: "withheld", why: "not_a_regular_file" });
      expect(result?.patch).toMatchObject({ state: "present", text: expect.stringContaining("-three\n+four\n") });
      const lines = broker.heard.events.flatMap((event) => (event.type === "codex" ? [event.line] : []));
      const tried = lines.find((line) => line.includes("item.completed") && line.includes("command_execution"));
      for (const said of ["Operation not permitted", "Network is unreachable", "Permission denied", "tried"]) {
        expect(tried).toContain(said);
      }
      expect(broker.heard.paths.filter((path) => path === "/v1/result")).toHaveLength(1);
    },
    RUN_MS,
  );

  it(
    "outlives whatever Codex does to the machine, and ends it at the deadline",
    async () => {
      // Fills the disk, which is memory, and forks without end.
      const command =
        "for i in 1 2 3; do head -c 900000000 /dev/zero > big$i; done; bomb() { bomb | bomb & }; bomb; sleep 600";
      const { broker, machine } = await start([run(command), say("never")], { sandbox: "danger-full-access" }, 40);
      await machine.ended;

      expect(broker.heard.frames).toMatchObject([
        { kind: "result", result: { codex: { exit_code: null, ended_by: "deadline" }, patch: { state: "withheld" } } },
      ]);
      expect(broker.heard.events.at(-1)).toEqual({ type: "codex_exited", exit_code: null });
    },
    RUN_MS,
  );

  it(
    "ends Codex when the broker says so, and says what became of it",
    async () => {
      const { broker, machine } = await start([stallBeforeFirstByte()]);
      await broker.whenCalled("/v1/responses");
      broker.stopWith("cancelled");
      await machine.ended;

      const [frame] = broker.heard.frames;
      expect(frame).toMatchObject({
        kind: "result",
        result: {
          codex: { exit_code: null, ended_by: "stop" },
          final_message: { state: "withheld", why: "absent" },
          patch: { state: "present", text: "" },
        },
      });
    },
    RUN_MS,
  );

  it(
    "runs Codex as root for unsafe, says what its gate did not ask, and still takes nothing but a plain file",
    async () => {
      // Root's work, root's rights, a file that only root may read, and one of its daemons.
      const command = [
        "id -u; grep -E '^(CapEff|NoNewPrivs):' /proc/self/status; cat /proc/self/cgroup; touch /opt/mayfly/by-root",
        "umask 077; printf 'four\\n' > greeting.txt; printf 'new\\n' > added.txt",
        "(setsid sh -c 'while :; do date >> /work/repo/late.txt; done' > /dev/null 2>&1 &)",
        "mv /home/codex/out /home/codex/away; mkdir -p /home/codex/out; ln -s /etc/shadow /home/codex/out/last-message.md",
      ].join("; ");
      const { broker, machine } = await start([run(command), say("Done.")], {
        safety_strategy: "unsafe",
        sandbox: "danger-full-access",
      });
      await machine.ended;

      const { gate, events, frames, paths } = broker.heard;
      expect(gate).toMatchObject({ safety_strategy: "unsafe" });
      expect(gate?.checks.map(({ name }) => name)).toEqual(gateChecksFor("root"));
      expect(gate?.checks.filter(({ ok }) => !ok)).toEqual([]);
      expect([...(gate?.not_applicable ?? []), ...gateChecksFor("root")].toSorted()).toEqual(gateChecks.toSorted());
      expect(paths.indexOf("/v1/gate")).toBeLessThan(paths.indexOf("/v1/key"));
      expect(events).toContainEqual({ type: "note", text: expect.stringContaining("as root") });

      const lines = events.flatMap((event) => (event.type === "codex" ? [event.line] : []));
      const worked = lines.find((line) => line.includes("item.completed") && line.includes("command_execution")) ?? "";
      expect(worked).toContain("0\\nCapEff:\\t000001ffffffffff\\nNoNewPrivs:\\t0\\n0::/codex\\n");
      expect(worked).not.toContain("denied");
      expect(frames).toMatchObject([{ kind: "result" }]);
      const result = frames[0]?.kind === "result" ? frames[0].result : null;
      expect(result?.final_message).toEqual({ state: "withheld", why: "not_a_regular_file" });
      expect(result?.patch).toMatchObject({ state: "present", text: expect.stringContaining("-three\n+four\n") });
    },
    RUN_MS,
  );

  it(
    "keeps root's commands in the CLI's own sandbox unless the task says otherwise",
    async () => {
      const command = "id -u; grep CapEff: /proc/self/status; printf 'four\\n' > greeting.txt; touch /etc/by-root";
      const { broker, machine } = await start([run(command), say("Done.")], { safety_strategy: "unsafe" });
      await machine.ended;

      const { events, frames } = broker.heard;
      const lines = events.flatMap((event) => (event.type === "codex" ? [event.line] : []));
      const worked = lines.find((line) => line.includes("item.completed") && line.includes("command_execution")) ?? "";
      expect(worked).toContain("0\\nCapEff:\\t0000000000000000\\n");
      expect(worked).toContain("Read-only file system");
      expect(frames).toMatchObject([
        {
          kind: "result",
          result: {
            final_message: { state: "present", text: "Done." },
            patch: { state: "present", text: expect.stringContaining("-three\n+four\n") },
          },
        },
      ]);
    },
    RUN_MS,
  );

  it(
    "runs the read-only strategy with a schema, and nothing is changed",
    async () => {
      const schema = {
        type: "object",
        properties: { ok: { type: "boolean" } },
        required: ["ok"],
        additionalProperties: false,
      };
      const { broker, machine } = await start([run("echo x > greeting.txt"), say('{"ok":true}')], {
        safety_strategy: "read-only",
        output_schema: JSON.stringify(schema),
      });
      await machine.ended;

      expect(broker.heard.gate?.safety_strategy).toBe("read-only");
      expect(broker.heard.frames).toMatchObject([
        {
          kind: "result",
          result: {
            codex: { exit_code: 0, ended_by: "exit" },
            structured: { state: "present", text: '{"ok":true}' },
            patch: { state: "present", text: "" },
          },
        },
      ]);
    },
    RUN_MS,
  );
});

function assign(source: Assignment["source"], codex: Partial<Assignment["codex"]>, seconds: number): Assignment {
  return {
    run: "run_test",
    epoch: 1,
    capability: CAPABILITY,
    seconds,
    source,
    codex: {
      prompt: "Change the greeting.",
      model: "gpt-5.5",
      effort: "high",
      sandbox: "workspace-write",
      safety_strategy: "unprivileged-user",
      working_directory: "",
      output_schema: null,
      args: [],
      ...codex,
    },
  };
}
