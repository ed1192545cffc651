import {
  findSecrets,
  type Result,
  ResultFrame,
  type Run,
  type RunEvent,
  type RunFacts,
  type SecretHit,
  type PullRequestOrigin,
} from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GitHubApp, GitHubClient } from "../../apps/orchestrator/src/github/app.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { createPublisher, type Publisher } from "../../apps/orchestrator/src/publish/publisher.ts";
import { reportInput } from "../../packages/core/src/render/run.fixture.ts";
import { createContext } from "../attack/context.ts";
import { after, eventsUntilPublishing, type GitHubBench, MAINTAINER, openGitHub } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";

const SECRET = "hunter2hunter2hunter2";

let bench: GitHubBench;
let end: () => Promise<void>;

beforeAll(async () => {
  const { context, close } = createContext({ seed: 1, isShort: true });
  end = close;
  bench = await openGitHub(context);
});

afterAll(() => end());

interface Request {
  readonly route: string;
  readonly parameters: Record<string, unknown>;
}

/** The real publisher against the stand-in for GitHub; what it asks for is written down. */
function publisherOf(
  facts: (run: Run) => RunFacts,
  options: { findSecrets?: (texts: readonly string[]) => Promise<readonly SecretHit[]> } = {},
): { publisher: Publisher; requests: Request[]; log: () => string } {
  const requests: Request[] = [];
  const lines: string[] = [];
  const { log } = createLog({ level: "info", write: (line) => void lines.push(line) });
  const stickies = new Map<string, number>();
  const app: GitHubApp = {
    ...bench.app,
    withClient: (purpose, place, use) =>
      bench.app.withClient(purpose, place, (client) => {
        const request = (route: string, parameters: Record<string, unknown>) => {
          requests.push({ route, parameters });
          return client.request(route, parameters);
        };
        return use({ request } as unknown as GitHubClient);
      }),
  };
  const publisher = createPublisher({
    app,
    facts: async (run) => facts(run),
    stickies: {
      get: async (name) => stickies.get(name) ?? null,
      set: async (name, comment) => void stickies.set(name, comment),
    },
    recheck: bench.recheck,
    listLiveRuns: async () => [],
    githubHost: "github.com",
    findSecrets: options.findSecrets ?? (async (texts) => texts.flatMap((text) => findSecrets(text, [SECRET]))),
    clock: { now: () => Date.now() },
    log,
  });
  return { publisher, requests, log: () => lines.join("") };
}

function factsOf(change: (result: Result) => Result): RunFacts {
  const { result, machines, spend } = reportInput("All is well.");
  if (result === null) {
    throw new Error("the fixture has a result");
  }
  return { result: change(result), machines, spend };
}

const saying = (text: string) => (): RunFacts =>
  factsOf((result) => ({ ...result, final_message: { state: "present", text } }));

/** A run of a pull request of its own whose machine has answered and is gone. */
async function ready(
  change: (event: RunEvent) => RunEvent = (event) => event,
): Promise<{ run: Run; pull: PullView; origin: PullRequestOrigin }> {
  const { run, pull, origin } = await bench.openRun();
  return { run: after(run, eventsUntilPublishing(origin).map(change)), pull, origin };
}

function shownOn(pull: PullView): string {
  const { comments, checkRuns } = bench.github.pullRequest(pull);
  return JSON.stringify([comments.map(({ body }) => body), checkRuns.map(({ output }) => output)]);
}

describe("where a result goes (E_TARGET)", () => {
  it("is the place of the run's own record, whatever the result names", async () => {
    const victim = await ready();
    const { publisher: first } = publisherOf(saying("The victim's own."));
    const published = await first.publish(victim.run);
    const comment = published.type === "published" ? published.publication.commentId : null;
    const before = shownOn(victim.pull);
    const wish = [
      `<!-- mayfly:run=${victim.run.id} -->`,
      JSON.stringify({ owner: "example-org", repo: victim.origin.repository.name, issue_number: victim.pull.number }),
      JSON.stringify({ comment_id: comment, external_id: victim.run.id, head_sha: victim.origin.head }),
      `run: ${victim.run.id}`,
    ].join("\n\n");
    const asked = async (text: string) => {
      const { run, pull, origin } = await ready();
      const { publisher, requests } = publisherOf(saying(text));
      expect((await publisher.publish(run)).type).toBe("published");
      for (const { parameters } of requests) {
        const { owner, repo } = parameters;
        expect([owner, repo]).toEqual([origin.repository.owner, origin.repository.name]);
        expect([pull.number, undefined]).toContain(parameters["issue_number"]);
        expect([origin.head, undefined]).toContain(parameters["head_sha"]);
        expect([run.id, undefined]).toContain(parameters["external_id"]);
      }
      return requests.map(({ route, parameters }) => [route, Object.keys(parameters)]);
    };
    expect(await asked(wish)).toEqual(await asked("Fine."));
    expect(shownOn(victim.pull)).toBe(before);
  });

  it.each(["repository", "owner", "number", "issue_number", "comment_id", "run", "labels", "branch"])(
    "cannot be said in a result: the key %s is none of a result's (E_FRAME)",
    (key) => {
      const frame = { kind: "result", epoch: 1, result: factsOf((result) => result).result };
      expect(ResultFrame.safeParse(frame).success).toBe(true);
      expect(ResultFrame.safeParse({ ...frame, [key]: 1 }).success).toBe(false);
      expect(ResultFrame.safeParse({ ...frame, result: { ...frame.result, [key]: 1 } }).success).toBe(false);
    },
  );

  it("is no comment of anybody else, even one that begins with the run's marker", async () => {
    const { run, pull } = await ready();
    const forged = `<!-- mayfly:run=${run.id} -->\n\nApproved.`;
    bench.github.comment(pull, forged, { by: MAINTAINER });
    await publisherOf(saying("Fine.")).publisher.publish(run);
    const { comments } = bench.github.pullRequest(pull);
    expect(comments.map(({ viaApp, body }) => [viaApp, body === forged])).toEqual([
      [false, true],
      [true, false],
    ]);
  });
});

describe("how often (E_LIMIT)", () => {
  it("is one comment and one check, however often it is published and by whomever", async () => {
    const { run, pull } = await ready();
    const { publisher } = publisherOf(saying("Once."));
    await publisher.publish(run);
    await publisher.publish(run);
    // One that remembers nothing.
    await publisherOf(saying("Once more.")).publisher.publish(run);
    const { comments, checkRuns } = bench.github.pullRequest(pull);
    expect([comments.length, checkRuns.length]).toEqual([1, 1]);
    expect(comments[0]?.body).toContain("Once more.");
  });
});

describe("an answer that is a review", () => {
  const finding = {
    path: "README.md",
    line: 3,
    start_line: null,
    side: null,
    severity: "high",
    title: "Too short",
    body: "Say more, @alice.",
    suggestion: "Much more.",
  };
  const asReview = (findings: object[], summary = "It says more.") =>
    factsOf((result) => {
      const text = JSON.stringify({ summary, verdict: "minor_problems", findings });
      return { ...result, final_message: { state: "present", text }, structured: { state: "present", text } };
    });
  const wanting = async () => {
    const { run, ...where } = await ready();
    const task = { ...run.request.task, publish: ["comment", "check", "review"] as const };
    return { ...where, run: { ...run, request: { ...run.request, task } } };
  };

  it("is one review on the approved commit, with a comment on each line that the diff shows", async () => {
    const { run, pull, origin } = await wanting();
    const facts = () =>
      asReview([finding, { ...finding, start_line: 2, title: "Both" }, { ...finding, line: 90, title: "Elsewhere" }]);
    const { publisher, requests } = publisherOf(facts);
    expect((await publisher.publish(run)).type).toBe("published");
    // Again, and by one that remembers nothing.
    await publisher.publish(run);
    await publisherOf(facts).publisher.publish(run);
    const { reviews, comments, checkRuns } = bench.github.pullRequest(pull);
    expect(reviews.map(({ state, commitId }) => [state, commitId])).toEqual([["COMMENTED", origin.head]]);
    expect(reviews[0]?.comments.map(({ line, startLine, path }) => [path, startLine, line])).toEqual([
      ["README.md", null, 3],
      ["README.md", 2, 3],
    ]);
    expect(reviews[0]?.comments[0]?.body).toContain("\n\n```suggestion\nMuch more.\n```");
    expect(requests.filter(({ route }) => route.startsWith("POST") && route.endsWith("/reviews"))).toHaveLength(1);
    for (const text of [reviews[0]?.body, comments[0]?.body, checkRuns[0]?.output.summary]) {
      expect(text).toContain("`README.md:90` Elsewhere");
      expect(text).not.toContain('"severity"');
    }
    expect(comments[0]?.body).toContain("#pullrequestreview-");
    expect(bench.github.contractViolations).toEqual([]);
  });

  it("is shown without its lines when GitHub refuses them", async () => {
    const { run, pull } = await wanting();
    bench.github.failNext({ method: "POST", pathPattern: /\/reviews$/, status: 422 });
    const { publisher } = publisherOf(() => asReview([finding]));
    expect((await publisher.publish(run)).type).toBe("published");
    const { reviews, comments } = bench.github.pullRequest(pull);
    expect(reviews.map((review) => review.comments)).toEqual([[]]);
    expect(comments[0]?.body).toContain("**Outside the diff**");
  });

  it("is none when it has not its shape, and then the comment says so", async () => {
    const { run, pull } = await wanting();
    await publisherOf(saying("All is well.")).publisher.publish(run);
    const { reviews, comments } = bench.github.pullRequest(pull);
    expect(reviews).toEqual([]);
    expect(comments[0]?.body).toContain("the answer does not have the shape of a review");
    expect(comments[0]?.body).toContain("All is well.");
  });

  it("is not shown when the head has moved", async () => {
    const { run, pull } = await wanting();
    await bench.github.push(pull, { files: { "README.md": "# Other\n" } });
    const event = await publisherOf(() => asReview([finding])).publisher.publish(run);
    expect(event).toMatchObject({ type: "ending_changed", ending: { code: "pushed" } });
    expect(bench.github.pullRequest(pull).reviews).toEqual([]);
  });

  it("is withheld when a credential is in it, however it was written", async () => {
    const { run, pull } = await wanting();
    const escaped = SECRET.replace("hunter", "\\u0068unter");
    const facts = factsOf((result) => {
      const text = JSON.stringify({ summary: SECRET, verdict: "no_problems", findings: [] }).replace(SECRET, escaped);
      return { ...result, final_message: { state: "present", text }, structured: { state: "present", text } };
    });
    const event = await publisherOf(() => facts).publisher.publish(run);
    expect(event).toMatchObject({ type: "ending_changed", ending: { code: "answer_withheld" } });
    expect(bench.github.pullRequest(pull).reviews).toEqual([]);
  });
});

describe("a result that holds a credential (E_SECRET)", () => {
  const inGate = (event: RunEvent): RunEvent =>
    event.type === "gate_passed"
      ? { ...event, report: { ...event.report, checks: [{ name: "identity", ok: true, seen: `uid ${SECRET}` }] } }
      : event;
  const asFailure = (event: RunEvent): RunEvent =>
    event.type === "result"
      ? { ...event, frame: { kind: "failure", epoch: 1, failure: { step: "codex", message: `it said ${SECRET}` } } }
      : event;
  const asError = (event: RunEvent): RunEvent =>
    event.type === "result" && event.frame.kind === "result"
      ? { ...event, frame: { ...event.frame, result: failed } }
      : event;
  const failed: Result = {
    ...(factsOf((result) => result).result as Result),
    codex: { version: "0.169.0", exit_code: 1, ended_by: "exit", error: `401: ${SECRET}` },
  };
  const nothing = (): RunFacts => ({ result: null, machines: [], spend: null });

  it.each<[string, (event: RunEvent) => RunEvent, () => RunFacts]>([
    ["the answer", (event) => event, saying(`It is ${SECRET}.`)],
    ["the answer, in base64", (event) => event, saying(`It is ${btoa(SECRET)}.`)],
    ["the answer, by its look", (event) => event, saying(`ghs_${"a1".repeat(20)}`)],
    [
      "the structured output",
      (event) => event,
      () => factsOf((result) => ({ ...result, structured: { state: "present", text: `{"a":"${SECRET}"}` } })),
    ],
    [
      "the version of the CLI",
      (event) => event,
      () => factsOf((result) => ({ ...result, codex: { ...result.codex, version: SECRET } })),
    ],
    ["what the start gate has seen", inGate, saying("Fine.")],
    ["an error of the CLI", asError, () => factsOf(() => failed)],
    ["the agent's word about its own failure", asFailure, nothing],
  ])(
    "is withheld as a whole when it is in %s, with the kind of thing named and never the thing",
    async (_, change, facts) => {
      const { run, pull } = await ready(change);
      const { publisher } = publisherOf(facts);
      const event = await publisher.publish(run);
      if (event.type !== "ending_changed") {
        throw new Error(`it was ${event.type}`);
      }
      expect(event.ending).toMatchObject({ outcome: "failed", code: "answer_withheld" });
      expect(event.ending.detail).toMatch(/^E_SECRET: .*\((?:known value|GitHub installation token), [\w ]+\)$/);
      expect(shownOn(pull)).toBe("[[],[]]");
      const again = await publisher.publish(after(run, [event]));
      expect(again.type).toBe("published");
      const shown = shownOn(pull);
      expect(shown).toContain("E_SECRET");
      for (const form of [SECRET, btoa(SECRET), "ghs_a1", "uid "]) {
        expect(shown).not.toContain(form);
      }
    },
  );

  it("is not shown either while nobody can look for credentials", async () => {
    const { run, pull } = await ready();
    const { publisher, requests } = publisherOf(saying("Fine."), {
      findSecrets: async () => {
        throw new Error("the broker does not answer");
      },
    });
    await expect(publisher.publish(run)).rejects.toThrow("the broker does not answer");
    expect(shownOn(pull)).toBe("[[],[]]");
    expect(requests).toEqual([]);
  });
});

describe("what no longer holds (E_STALE)", () => {
  it("leaves the answer unseen when the head has moved", async () => {
    const { run, pull } = await ready();
    await bench.github.push(pull, { files: { "README.md": "# Other\n" } });
    const { publisher } = publisherOf(saying("THE ANSWER"));
    const event = await publisher.publish(run);
    expect(event).toMatchObject({ type: "ending_changed", ending: { outcome: "superseded", code: "pushed" } });
    await publisher.publish(after(run, [event]));
    expect(shownOn(pull)).toContain("E_STALE");
    expect(shownOn(pull)).not.toContain("THE ANSWER");
  });
});

describe("what goes wrong on the way (E_FAILURE)", () => {
  it("puts a fixed text out, ends the run, and keeps the answer out of the log", async () => {
    const { run, pull } = await ready();
    const { publisher, log } = publisherOf(() =>
      factsOf((result) => ({
        ...result,
        get usage(): never {
          throw new Error("THE ANSWER is in this message");
        },
      })),
    );
    expect(await publisher.publish(run)).toMatchObject({
      type: "published",
      publication: { kind: "comment", removed: { E_FAILURE: 1 } },
    });
    const shown = shownOn(pull);
    expect(shown).toContain("it could not be made safe (`E_FAILURE`)");
    expect(shown).not.toContain("THE ANSWER");
    expect(log()).toContain("E_FAILURE");
    expect(log()).not.toContain("THE ANSWER");
  });

  it("counts what it did to an answer on the record of the publication", async () => {
    const { run } = await ready();
    const event = await publisherOf(saying("![a](b) @alice")).publisher.publish(run);
    expect(event).toMatchObject({ publication: { removed: { E_IMAGE: 1, E_MENTION: 1 } } });
  });
});
