import type { Run } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGitHubApp } from "../../../apps/orchestrator/src/github/app.ts";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { createContext } from "../../attack/context.ts";
import { type GitHubBench, openGitHub } from "../../attack/github-bench.ts";
import { createFakeEnterprise, type FakeEnterprise } from "../../fakes/github/enterprise.ts";
import { factsOf, publisherOf, ready } from "../../safe-output/publishing.ts";

const FINDING = { start_line: null, side: null, severity: "low", title: "Short", body: "Say more.", suggestion: null };
const REVIEW = {
  summary: "It says more.",
  verdict: "minor_problems",
  findings: [{ path: "README.md", line: 3, ...FINDING }],
};

let enterprise: FakeEnterprise;
let bench: GitHubBench;
let end: () => Promise<void>;

beforeAll(async () => {
  const { context, close } = createContext({ seed: 1, isShort: true });
  end = async () => {
    await close();
    await enterprise.close();
  };
  bench = await openGitHub(context, async (github) => {
    enterprise = await createFakeEnterprise(github);
    return enterprise.url;
  });
});

afterAll(() => end());

describe("GitHub Enterprise Server", () => {
  it("is asked below the addresses that it has: tokens, a run's progress and result, reviews and their folding", async () => {
    const { log } = createLog({ level: "silent" });
    const app = createGitHubApp({ url: enterprise.url, signer: bench.signer, log });
    const { run, pull } = await ready(bench);
    const { request } = run;
    const task = { ...request.task, publish: ["comment", "check", "review"] as const };
    const facts = () =>
      factsOf((result) => ({ ...result, structured: { state: "present", text: JSON.stringify(REVIEW) } }));
    const wanting: Run = { ...run, request: { ...request, task } };
    const later: Run = { ...wanting, id: randomIds.run(Date.now() + 60_000) };

    const { publisher } = publisherOf({ ...bench, app }, facts);
    await publisher.publish(wanting);
    await publisher.publish(later);
    const { comments, checkRuns, reviews } = bench.github.pullRequest(pull);
    expect([comments.length, checkRuns.length]).toEqual([1, 2]);
    expect(reviews.map((review) => review.comments.map((one) => one.minimizedReason))).toEqual([["outdated"], [null]]);
    expect(enterprise.strayed).toEqual([]);
    expect(bench.github.unknownRequests).toEqual([]);
    expect(bench.github.contractViolations).toEqual([]);
  });
});
