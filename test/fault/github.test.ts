import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, say } from "../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { expectEnd, RUN_MS, startRun, whenAskingTheModel, whenever, whenIn } from "./support.ts";

const RETRY_AFTER_S = 6;

const answered = { outcome: "succeeded", code: "answered", says: /It holds\./ } as const;
const ANY = 1_000_000;
let world: TestWorld;

beforeAll(async () => {
  // Long enough for a test to act between the first question and the answer.
  world = await startWorld({ script: [run("sleep 2"), say("It holds.")] });
});

afterAll(() => world?.close());

/** Comments that were asked for in a repository, whatever became of the requests. */
function countComments(repo: () => string): { readonly count: number } {
  let count = 0;
  const pathPattern = whenever((path) => {
    count += path.startsWith(`/repos/${repo()}/issues/`) && path.endsWith("/comments") ? 1 : 0;
    return false;
  });
  world.github.failNext({ method: "POST", pathPattern, times: ANY });
  return {
    get count() {
      return count;
    },
  };
}

describe("a GitHub that fails while a result is published", () => {
  it("gets it once, as soon as it answers again after it was broken for a while", async () => {
    let failed = 0;
    let isAway = false;
    const pathPattern = whenever(() => {
      failed += isAway ? 1 : 0;
      return isAway;
    });
    world.github.failNext({ pathPattern, status: 500, times: ANY });
    let repo = "";
    const comments = countComments(() => repo);
    const started = await startRun(world, { prompt: "answers", onRepository: (name) => (repo = name) });
    await whenAskingTheModel(world, started);
    isAway = true;
    await whenIn(world, started, ["publishing"]);
    const before = failed;
    await world.control.waitFor(started.id, () => failed >= before + 4, RUN_MS);
    expect(JSON.stringify(world.github.pullRequest(started.pull).comments)).not.toMatch(answered.says);
    isAway = false;
    await expectEnd(world, started, answered);
    expect(comments.count).toBe(1);
  });

  it("gets it once when connections break", async () => {
    let isAway = false;
    world.github.failNext({ pathPattern: whenever(() => isAway), reset: true, times: 5 });
    const started = await startRun(world, { prompt: "answers" });
    await whenAskingTheModel(world, started);
    isAway = true;
    await expectEnd(world, started, answered);
  });

  it("is shown one comment and one check though the answers to making them were lost", async () => {
    let repo = "";
    const makes = (what: RegExp) =>
      whenever((path) => repo !== "" && path.startsWith(`/repos/${repo}/`) && what.test(path));
    world.github.failNext({ method: "POST", pathPattern: makes(/check-runs$/), lost: true });
    world.github.failNext({ method: "POST", pathPattern: makes(/comments$/), lost: true });
    const started = await startRun(world, { prompt: "answers", onRepository: (name) => (repo = name) });
    await expectEnd(world, started, answered);
  });

  it.each([
    { status: 403, method: "POST", what: "comments", path: /\/issues\/\d+\/comments$/ },
    { status: 429, method: "PATCH", what: "checks", path: /\/check-runs\/\d+$/ },
  ])("is left alone for as long as it asks when it limits $what with $status", async ({ status, method, path }) => {
    let repo = "";
    let limitedAt = 0;
    let nextAt = 0;
    const pathPattern = whenever((asked) => {
      if (repo === "" || !asked.startsWith(`/repos/${repo}/`) || !path.test(asked)) {
        return false;
      }
      if (limitedAt !== 0) {
        nextAt ||= performance.now();
        return false;
      }
      limitedAt = performance.now();
      return true;
    });
    const headers = { "retry-after": String(RETRY_AFTER_S) };
    world.github.failNext({ method, pathPattern, status, headers, times: ANY });
    const started = await startRun(world, { prompt: "answers", onRepository: (name) => (repo = name) });
    await expectEnd(world, started, answered);
    expect(limitedAt).toBeGreaterThan(0);
    // Timers may fire a moment early.
    expect(nextAt - limitedAt).toBeGreaterThanOrEqual(RETRY_AFTER_S * 1_000 - 50);
  });
});
