import { stat } from "node:fs/promises";
import { limits, type Run } from "@mayfly/core";
import { readConversation } from "../../../fakes/model/conversation.ts";
import { run, say } from "../../../fakes/model/script.ts";
import { machineFolder } from "../../../../apps/orchestrator/src/fleet/providers/qemu/machine-folder.ts";
import { eventually } from "../../../support/service.ts";
import type { AttackContext, Row } from "../../row.ts";
import { RUN_MS, startRun } from "../../scene.ts";
import { createTally, type Tally } from "../../tally.ts";
import { machineWorld, type MachineWorld } from "./world.ts";

const FLOOD_BYTES = limits.consoleBytesMax + 300_000;
const YIELD_MS = 30_000;
/** Codex has this long; the bombs need some seconds of it to go off. */
const TIMEOUT_S = 45;
/** The service answers in milliseconds; a host that is starved answers in minutes or not at all. */
const ANSWER_MS_MAX = 10_000;
const ASK_EVERY_MS = 500;

export const consoleFlood: Row = {
  id: "T33",
  attack: "Root floods the console, and looks for the emulator's monitor.",
  needs: "machine",
  control: "all of it was written in the machine, and the host's file has grown to its limit",
  async run(context) {
    const tally = createTally();
    const shared = await machineWorld(context, "plain");
    const { world, answer } = shared;
    // No monitor, no debugger, no second console: only what the machine was given.
    const command =
      `/bin/busybox head -c ${FLOOD_BYTES} /dev/zero > /dev/ttyS0 && echo flooded; ` +
      "ls /dev/hvc0 /dev/vport* /dev/virtio-ports /dev/fw_cfg /sys/firmware/qemu_fw_cfg 2> /dev/null; echo looked";
    let isReleased = false;
    answer(/Flood the console\./, ({ step }) =>
      step === 0
        ? run(command, { yieldTimeMs: YIELD_MS })
        : isReleased
          ? say("Done.")
          : run("/bin/busybox sleep 2; echo alive"),
    );
    const { id } = await startRun(world, {
      prompt: "Flood the console.",
      sandbox: "danger-full-access",
      frontMatter: ["safety-strategy: unsafe"],
    });
    const outputs = await outputsOf(shared, /Flood the console\./, 2);
    tally.control(outputs[0]?.includes("flooded") === true, `it could not flood: ${outputs[0]}`);
    tally.equal(outputs[0]?.replace("flooded", "").trim(), "looked", "more devices of the emulator");
    tally.equal(outputs[1]?.trim(), "alive", "the machine after the flood");
    const { run: seen } = await world.control.view(id);
    const machine = seen.phase === "running" ? seen.attempt.machine : null;
    if (machine === null) {
      tally.expect(false, `the run is ${seen.phase}`);
    } else {
      const { size } = await stat(machineFolder(world.stateDir, machine).console);
      tally.expect(size <= limits.consoleBytesMax, `the console's file has ${size} bytes`);
      tally.control(size === limits.consoleBytesMax, `the console's file has only ${size} bytes`);
    }
    isReleased = true;
    const { run: ended } = await world.control.waitFor(id, ({ receipt }) => receipt !== null, RUN_MS);
    tally.expect("ending" in ended && ended.ending.outcome === "succeeded", "the run did not go on");
    return tally.verdict(`of ${FLOOD_BYTES} bytes the host kept ${limits.consoleBytesMax}`);
  },
};

/** As many of what commands have printed as are wanted. */
async function outputsOf({ world }: MachineWorld, prompt: RegExp, count: number): Promise<readonly string[]> {
  return eventually(
    async () => {
      const seen = (world.model?.requests ?? []).map(({ body }) => readConversation(body ?? {}));
      return seen.findLast((one) => prompt.test(one.prompt) && one.step >= count)?.outputs ?? null;
    },
    RUN_MS,
    async () => world.service().log().slice(-2_000),
  );
}

/** More processes than Codex may have, if they can be had: counted, and then ended. */
const PROCESSES_MAX = 512;
const COUNT = `perl -e '
  my @all;
  while (@all < ${PROCESSES_MAX + 200}) { my $p = fork; last unless defined $p; if (!$p) { sleep 60; exit } push @all, $p }
  print "processes: ", scalar @all, "\\n"; kill "KILL", @all'`;

/** Memory, processes, processors, names on the disk, open files; each by itself until nothing is left. */
const bombs = [
  "while :; do :; done & while :; do :; done &",
  "(i=0; while :; do : > /tmp/name-$i; : > /work/repo/name-$i; i=$((i+1)); done) &",
  "for i in 1 2 3; do head -c 900000000 /dev/zero > /work/repo/big$i; head -c 900000000 /dev/zero > /dev/shm/big$i; done",
  "bomb() { bomb | bomb & }; bomb; sleep 600",
].join("\n");

export const bombsInTheMachine: Row = {
  id: "T35",
  attack: "Processes, memory, processors and disk are used up, as Codex and, freed of all limits, as root.",
  needs: "machine",
  control: "Codex was at work and could not answer any more",
  async run(context) {
    const tally = createTally();
    await bomb(context, tally, "unprivileged-user", bombs);
    if (!context.isShort) {
      await bomb(context, tally, "unsafe", `echo 0 > /sys/fs/cgroup/cgroup.procs\n${bombs}`);
    }
    return tally.verdict("each machine was gone by its deadline, and the host went on answering");
  },
};

async function bomb(context: AttackContext, tally: Tally, strategy: string, script: string): Promise<void> {
  const { world, answer } = await machineWorld(context, "plain");
  const prompt = `Use everything up (${strategy}).`;
  let counted: number | null = null;
  answer(new RegExp(strategy), ({ step, outputs }) => {
    if (step === 0) {
      return run(COUNT, { yieldTimeMs: YIELD_MS });
    }
    counted ??= Number(/processes: (\d+)/.exec(outputs[0] ?? "")?.[1] ?? -1);
    return isTooMany(strategy, counted) ? say("Done.") : run(script, { yieldTimeMs: YIELD_MS });
  });
  const { id } = await startRun(world, {
    prompt,
    sandbox: "danger-full-access",
    timeout: `${TIMEOUT_S}s`,
    frontMatter: [`safety-strategy: ${strategy}`],
  });
  let slowest = 0;
  let asked = 0;
  const ended = await eventually(
    async () => {
      const began = performance.now();
      const view = await world.control.view(id);
      slowest = Math.max(slowest, performance.now() - began);
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
      return view.receipt === null ? null : view.run;
    },
    RUN_MS * 2,
    async () => `${id} has not ended: ${world.service().log().slice(-1_000)}`,
  );
  tally.expect(!isTooMany(strategy, counted ?? 0), `${strategy}: Codex had ${counted} processes at once`);
  tally.control((counted ?? 0) > 100, `${strategy}: only ${counted} processes were counted`);
  tally.control(ended.modelCalls > 0 && asked > 10, `${strategy}: Codex did not work`);
  expectInTime(tally, ended, strategy);
  tally.expect(slowest < ANSWER_MS_MAX, `${strategy}: the service took ${Math.round(slowest)} ms to answer`);
}

/** As root it has left its limits. */
function isTooMany(strategy: string, processes: number): boolean {
  return strategy !== "unsafe" && processes >= PROCESSES_MAX;
}

/** By the host's clock, whatever the machine did to its own. A second attempt has a deadline of its own. */
function expectInTime(tally: Tally, ended: Run, strategy: string): void {
  if (!("ending" in ended)) {
    tally.expect(false, `${strategy}: the run is ${ended.phase}`);
    return;
  }
  tally.control(ended.ending.outcome !== "succeeded", `${strategy}: Codex has answered`);
  const { claimed = 0, machine_gone: gone = Number.POSITIVE_INFINITY } = ended.times;
  const latest = claimed + TIMEOUT_S * 1_000 + limits.resultMs + limits.machineGraceMs;
  tally.expect(gone <= latest, `${strategy}: the machine was gone ${gone - latest} ms too late`);
  for (const { evidence } of ended.gone) {
    tally.expect(
      evidence.checks.every(({ absent }) => absent),
      `${strategy}: something of a machine is left`,
    );
  }
}
