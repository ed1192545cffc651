import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fail, run, say, type Script, stall } from "../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { expectEnd, startRun } from "./support.ts";

/** The prompt's words decide what the model does. */
const cases: { when: RegExp; script: Script }[] = [
  { when: /always bad request/, script: [fail({ status: 400 })] },
  { when: /always broken/, script: [fail({ status: 500 })] },
  { when: /wrong credential/, script: [fail({ status: 401 })] },
  { when: /always limited/, script: [fail({ status: 429 })] },
  {
    when: /limited once/,
    script: [fail({ status: 429, headers: { "retry-after": "1" }, times: 1 }), say("It holds.")],
  },
  { when: /stalls/, script: [stall({ afterEvents: 2 })] },
  { when: /says nothing/, script: [run("true"), say("")] },
];

let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({ scripts: cases });
});

afterAll(() => world?.close());

describe("a model that does not answer as it should", () => {
  it("fails the run with exit code and error when every request is refused as bad", async () => {
    const started = await startRun(world, { prompt: "always bad request" });
    await expectEnd(world, started, { outcome: "failed", code: "codex_failed", says: /exit code 1: .*400/ });
  });

  it("fails the run with exit code and error when the model is broken for ever", async () => {
    const started = await startRun(world, { prompt: "always broken" });
    await expectEnd(world, started, {
      outcome: "failed",
      code: "codex_failed",
      says: /exit code 1: .*(high demand|500)/,
    });
  });

  it("fails the run and says so when the service's own credential is refused", async () => {
    const started = await startRun(world, { prompt: "wrong credential" });
    await expectEnd(world, started, { outcome: "failed", code: "codex_failed", says: /exit code 1: .*401/ });
  });

  it("fails the run and says so when the model is limited for ever", async () => {
    const started = await startRun(world, { prompt: "always limited" });
    await expectEnd(world, started, { outcome: "failed", code: "codex_failed", says: /exit code 1: .*429/ });
  });

  it("gets its answer after the model was limited once", async () => {
    const started = await startRun(world, { prompt: "limited once" });
    await expectEnd(world, started, { outcome: "succeeded", code: "answered", says: /It holds\./ });
  });

  it("is ended at the task's timeout, and that is what the pull request says, when the stream stalls", async () => {
    const started = await startRun(world, { prompt: "stalls", timeout: "45s" });
    const { run: ended } = await expectEnd(world, started, {
      outcome: "timed_out",
      code: "deadline",
      says: /Codex was ended at the deadline/,
    });
    expect(ended.modelCalls).toBeGreaterThan(0);
  });

  it("fails the run when it ends without an answer", async () => {
    const started = await startRun(world, { prompt: "says nothing" });
    await expectEnd(world, started, { outcome: "failed", code: "answer_missing" });
  });
});

describe("a model that cannot be reached", () => {
  it("fails the run instead of waiting for the network for ever", async () => {
    // Port 9 is discard's: nothing of ours or anybody's listens there.
    const unreachable = await startWorld({ environment: { OPENAI_BASE_URL: "http://127.0.0.1:9/v1" } });
    try {
      const started = await startRun(unreachable, { prompt: "nobody hears this" });
      await expectEnd(unreachable, started, { outcome: "failed", code: "codex_failed", says: /exit code 1: / });
    } finally {
      await unreachable.close();
    }
  });
});
