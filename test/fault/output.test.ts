import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, say, type Script } from "../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { expectEnd, startRun } from "./support.ts";

/** Where the agent looks for Codex's answer. */
const OUT = "/home/codex/out";
const ANSWER = `${OUT}/last-message.md`;
/** The CLI replaces the file as it exits; in a folder that cannot be written it cannot, and what was planted stays. */
const KEEP = `chmod 555 ${OUT}`;

function plants(command: string): Script {
  return [run(command), say("This is what it was meant to say.")];
}

let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({
    scripts: [
      { when: /plants a link/, script: plants(`ln -s /etc/passwd ${ANSWER} && ${KEEP}`) },
      { when: /plants a pipe/, script: plants(`mkfifo ${ANSWER} && ${KEEP}`) },
      {
        when: /plants too much/,
        script: plants(`head -c 104857600 /dev/zero > ${ANSWER}; chmod 444 ${ANSWER}; ${KEEP}`),
      },
      { when: /plants a folder/, script: plants(`mkdir -p ${ANSWER}/x`) },
      {
        when: /leaves somebody behind/,
        script: plants(
          `setsid sh -c 'while :; do ln -sfn /etc/passwd ${ANSWER}; done' < /dev/null > /dev/null 2>&1 & sleep 1`,
        ),
      },
    ],
  });
});

afterAll(() => world?.close());

describe("where Codex's answer should be", () => {
  it.each([
    { what: "a symbolic link", prompt: "plants a link", why: /not_a_regular_file/ },
    { what: "a pipe", prompt: "plants a pipe", why: /not_a_regular_file/ },
    { what: "a hundred megabytes", prompt: "plants too much", why: /too_big/ },
    { what: "a folder", prompt: "plants a folder", why: /not_a_regular_file/ },
  ])("$what is not taken over, and the pull request says why", async ({ prompt, why }) => {
    const started = await startRun(world, { prompt, sandbox: "danger-full-access" });
    await expectEnd(world, started, { outcome: "failed", code: "answer_withheld", says: why });
    expectNothingOfTheMachine(started);
  });

  it("a process that Codex left behind shows nothing of the machine, however fast it swaps the file", async () => {
    const started = await startRun(world, { prompt: "leaves somebody behind", sandbox: "danger-full-access" });
    // The last to write before everything is killed wins: the CLI with its answer, or the process with its link.
    await expectEnd(world, started, [
      { outcome: "succeeded", code: "answered", says: /This is what it was meant to say/ },
      { outcome: "failed", code: "answer_withheld", says: /not_a_regular_file/ },
    ]);
    expectNothingOfTheMachine(started);
  });
});

function expectNothingOfTheMachine({ pull }: Awaited<ReturnType<typeof startRun>>): void {
  expect(JSON.stringify(world.github.pullRequest(pull))).not.toContain("root:");
}
