import type { Run } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGitHubApp } from "../../../apps/orchestrator/src/github/app.ts";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { type GitHubBench, openGitHubAlone } from "../../attack/github-bench.ts";
import { createFakeEnterprise, type FakeEnterprise } from "../../fakes/github/enterprise.ts";
import { factsOf, publisherOf, ready } from "../../safe-output/publishing.ts";

const FINDING = { start_line: null, side: null, severity: "low", body: "Say more.", suggestion: null };
const reviewOf = (title: string): string =>
  JSON.stringify({
    summary: "It says more.",
    verdict: "minor_problems",
    findings: [{ path: "README.md", line: 3, ...FINDING, title }],
  });

let enterprise: FakeEnterprise;
let bench: GitHubBench;
let end: () => Promise<void>;

beforeAll(async () => {
  const { bench: opened, close } = await openGitHubAlone(async (github) => {
    enterprise = await createFakeEnterprise(github);
    return enterprise.url;
  });
  bench = opened;
  end = async () => {
    await close();
    await enterprise.close();
  };
});

afterAll(() => end());

describe("GitHub Enterprise Server", () => {
  it("is asked below the addresses that it has: tokens, a run's progress and result, reviews and their folding", async () => {
    const { log } = createLog({ level: "silent" });
    const app = createGitHubApp({ url: enterprise.url, signer: bench.signer, log });
    const written: number[] = [];
    app.onWrite(({ installation }) => void written.push(installation));
    const { run, pull, origin } = await ready(bench);
    const { request } = run;
    const task = { ...request.task, publish: ["comment", "check", "review"] as const };
    const facts = ({ id }: Run) =>
      factsOf((result) => {
        const text = reviewOf(id === run.id ? "Short" : "Still short");
        return { ...result, structured: { state: "present", text } };
      });
    const going = await bench.openRun();
    const wanting: Run = { ...run, request: { ...request, task } };
    const later: Run = { ...wanting, id: randomIds.run(Date.now() + 60_000) };

    const { publisher } = publisherOf({ ...bench, app }, facts);
    await publisher.ensureProgress(going.run);
    await publisher.publish(wanting);
    await publisher.publish(later);
    expect(bench.github.pullRequest(going.pull).comments).toHaveLength(1);
    const { comments, checkRuns, reviews } = bench.github.pullRequest(pull);
    expect([comments.length, checkRuns.length]).toEqual([1, 2]);
    expect(reviews.map((review) => review.comments.map((one) => one.minimizedReason))).toEqual([["outdated"], [null]]);
    expect(enterprise.strayed).toEqual([]);
    // What is counted is what was written, tokens aside.
    const uses = bench.github.tokens().flatMap((token) => token.uses);
    const writes = uses.filter(({ method, path }) => method !== "GET" && path !== "/installation/token");
    expect(written).toEqual(writes.map(() => origin.installation));
    expect(bench.github.unknownRequests).toEqual([]);
    expect(bench.github.contractViolations).toEqual([]);
  });
});
