import { limits } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, say, type Script } from "../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { expectEnd, startRun } from "./support.ts";

/** Where the agent looks for Codex's answer. The CLI makes the file as it starts, and writes it as it exits. */
const ANSWER = "/home/codex/out/last-message.md";
const MEANT = "This is what it was meant to say.";
/** A little more than the agent takes over. */
const TOO_LONG = `${MEANT} `.repeat(Math.ceil(limits.finalMessageBytesMax / MEANT.length) + 1);
const OVERWRITE = `head -c ${100 * 1024 * 1024} /dev/zero > ${ANSWER}; chmod 444 ${ANSWER}`;
/** Waits until the CLI has written its answer, and puts a link there. */
const SWAP = `until test -s ${ANSWER}; do :; done; ln -sfn /etc/passwd ${ANSWER}`;

function plants(command: string): Script {
  return [run(command), say(MEANT)];
}

let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({
    scripts: [
      { when: /plants a link/, script: plants(`ln -sfn /etc/passwd ${ANSWER}`) },
      { when: /plants a pipe/, script: plants(`unlink ${ANSWER}; mkfifo ${ANSWER}`) },
      { when: /plants too much/, script: plants(OVERWRITE) },
      { when: /says too much/, script: [say(TOO_LONG)] },
      { when: /leaves somebody behind/, script: plants(`setsid sh -c '${SWAP}' < /dev/null > /dev/null 2>&1 &`) },
    ],
  });
});

afterAll(() => world?.close());

describe("where Codex's answer should be", () => {
  it.each([
    { what: "a symbolic link", prompt: "plants a link" },
    { what: "a pipe", prompt: "plants a pipe" },
  ])("$what makes the CLI fail, and the pull request says why", async ({ prompt }) => {
    const started = await startRun(world, { prompt, sandbox: "danger-full-access" });
    await expectEnd(world, started, {
      outcome: "failed",
      code: "codex_failed",
      says: /exit code 1: .*output path was replaced/s,
    });
    expectNothingOfTheMachine(started);
  });

  it("a hundred megabytes of something else give way to what Codex says", async () => {
    const started = await startRun(world, { prompt: "plants too much", sandbox: "danger-full-access" });
    await expectEnd(world, started, {
      outcome: "succeeded",
      code: "answered",
      says: /> This is what it was meant to say\./,
    });
  });

  it("more than may be taken over is withheld, and the pull request says why", async () => {
    const started = await startRun(world, { prompt: "says too much" });
    await expectEnd(world, started, { outcome: "failed", code: "answer_withheld", says: /too_big/ });
  });

  it("a process that Codex left behind swaps the file in vain", async () => {
    const started = await startRun(world, { prompt: "leaves somebody behind", sandbox: "danger-full-access" });
    // It is killed with everything else as soon as the CLI has exited, and may be faster or slower than that.
    await expectEnd(world, started, [
      { outcome: "succeeded", code: "answered", says: /> This is what it was meant to say\./ },
      { outcome: "failed", code: "answer_withheld", says: /not_a_regular_file/ },
    ]);
    expectNothingOfTheMachine(started);
  });
});

function expectNothingOfTheMachine({ pull }: Awaited<ReturnType<typeof startRun>>): void {
  expect(JSON.stringify(world.github.pullRequest(pull))).not.toContain("root:");
}
