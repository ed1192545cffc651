import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Receipt, stepNames, steps } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import type { CheckRun, Comment, TokenRecord } from "../fakes/github/world.ts";
import type { PullView } from "../fakes/github/views.ts";
import { reviewer } from "../fakes/model/reviewer.ts";
import { processesNaming } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import {
  deliveries,
  ended,
  endingOf,
  expectGoodManners,
  handled,
  LABEL,
  leave,
  label,
  MAINTAINER,
  mayfly,
  noMachineLeft,
  openPull,
  published,
  RUN_MS,
  sent,
} from "./scene.ts";

const TASK = "---\neffort: high\ntimeout: 10m\n---\nReview what this pull request changes.\n";

let world: TestWorld;
let pull: PullView;
let view: RunView;
let comment: Comment;
let check: CheckRun;
/** Minted from the label to the end. */
let tokens: readonly Readonly<TokenRecord>[];

/** One run from the label to its end; the tests look at what it left. */
beforeAll(async () => {
  world = await startWorld({ script: reviewer });
  pull = await openPull(world, { name: "reviewed", task: TASK });
  const id = await label(world, pull);
  view = await ended(world, id, RUN_MS);
  ({ comment, check } = published(world, pull, id));
  tokens = world.github.tokens();
}, 2 * RUN_MS);

afterAll(() => leave(world));

describe("a run that succeeds", () => {
  it("takes every step, and publishes last of all", () => {
    expect(endingOf(view)).toEqual({ outcome: "succeeded", code: "answered", detail: "" });
    const { times } = view.run;
    expect(Object.keys(times).toSorted()).toEqual([...steps].toSorted());
    // What is asked for has GitHub's time, the rest ours.
    const ours = steps.filter((step) => step !== "requested").map((step) => times[step] ?? 0);
    expect(ours).toEqual(ours.toSorted((a, b) => a - b));
  });

  it("is on the pull request once, as one comment and one check run with the answer", () => {
    const { comments, checkRuns } = world.github.pullRequest(pull);
    expect([comments.length, checkRuns.length]).toEqual([1, 1]);
    expect(check).toMatchObject({
      name: `mayfly / ${LABEL}`,
      headSha: pull.headSha,
      status: "completed",
      conclusion: "success",
    });
    expect(comment.body.startsWith(`<!-- mayfly:run=${view.run.id} -->\n`)).toBe(true);
    expect(comment.body).toContain("1 file changed, 2 lines added, 0 removed.");
    expect(comment.body).toContain("Written by a machine, not reviewed by a person.");
    expect(check.output.summary).toContain("1 file changed, 2 lines added, 0 removed.");
    const { machines } = receiptOf(view);
    for (const { isolation } of machines) {
      expect(comment.body).toContain(isolation === "virtual machine" ? "kvm" : isolation);
    }
  });

  it("takes its label off afterwards, and the event of that asks for nothing", async () => {
    expect(world.github.pullRequest(pull).labels).toEqual([]);
    expect(await handled(world, sent(world, "pull_request", "unlabeled").guid)).toMatchObject({
      state: "ignored",
      reason: "Mayfly's own acts ask for nothing",
    });
    expect(await world.control.list()).toHaveLength(1);
  });

  it("leaves a receipt with everything in it", () => {
    const { addresses } = world.service();
    const { run } = view;
    const receipt = receiptOf(view);
    expect(receipt).toMatchObject({
      schema: 1,
      run: run.id,
      trigger: {
        kind: "pull_request",
        delivery: sent(world, "pull_request", "labeled").guid,
        repository: { id: pull.repositoryId },
        number: pull.number,
        label: LABEL,
        actor: { login: MAINTAINER, type: "User" },
        role: "maintain",
        head: pull.headSha,
        base: pull.baseSha,
        fork: false,
      },
      task: { name: LABEL, effort: "high", timeoutMs: 600_000, digest: expect.stringMatching(/^sha256:/) as string },
      agent: { exitCode: 0, endedBy: "exit", codexVersion: expect.stringMatching(/^\d+\.\d+\.\d+/) as string },
      outcome: "succeeded",
      code: "answered",
      attempts: 1,
      modelCalls: world.model?.requests.length,
      resultDigest: expect.stringMatching(/^sha256:/) as string,
      publication: { kind: "comment", commentId: comment.id, checkRunId: check.id },
    });
    expect(receipt.usage?.input_tokens).toBeGreaterThan(0);
    expect(receipt.gate?.checks.length).toBeGreaterThan(0);
    expect(receipt.gate?.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(receipt.timings.steps.map(({ step }) => step).toSorted()).toEqual(Object.keys(stepNames).toSorted());
    expect(Object.entries(receipt.timings.phasesMs).filter(([, ms]) => ms === null)).toEqual([]);
    const { machines } = receipt;
    expect(machines).toMatchObject([
      { epoch: 1, provider: "qemu", acceleration: addresses.acceleration, image: addresses.image },
    ]);
    expect(machines[0]?.evidence.length).toBeGreaterThan(0);
    expect(machines[0]?.evidence.filter(({ absent }) => !absent)).toEqual([]);
  });

  it("has its receipt signed, which can be checked without the service", async () => {
    const { code, stdout } = await mayfly(["receipt", "verify", view.run.id, "--state", world.stateDir, "--json"]);
    expect({ code, said: JSON.parse(stdout) as unknown }).toMatchObject({
      code: 0,
      said: { ok: true, run: view.run.id },
    });
  });

  it("shows what Codex did", () => {
    expect(view.events.length).toBeGreaterThan(0);
    expect(JSON.stringify(view.events)).toContain("git diff");
  });

  it("leaves no machine and no process of one", async () => {
    expect(view.run.gone).toHaveLength(1);
    for (const { machine } of view.run.gone) {
      expect(await processesNaming(machine)).toEqual([]);
    }
    await noMachineLeft(world);
  });

  it("keeps the model's key out of everything it leaves", async () => {
    const archive = join(world.stateDir, "archive");
    const names = await readdir(archive, { recursive: true });
    expect(names).toContain(`${view.run.id}.json`);
    const texts = await Promise.all(names.map((name) => readFile(join(archive, name), "utf8")));
    const left = JSON.stringify([texts, view, comment, check, await deliveries(world), world.service().log()]);
    expect(left).not.toContain(world.modelKey);
    for (const { token } of tokens) {
      expect(left).not.toContain(token);
    }
  });
});

describe("the tokens of a run", () => {
  it("are for one repository each, and every one is revoked", () => {
    expect(tokens.length).toBeGreaterThan(0);
    for (const token of tokens) {
      expect(token.repositoryIds).toEqual([pull.repositoryId]);
      expect(token.revokedAt).toBeDefined();
    }
  });

  it("can write a result only once the machine is gone", () => {
    const gone = view.run.times.machine_gone ?? Number.NaN;
    const early = tokens.filter(({ mintedAt }) => mintedAt < gone).map(purposeOf);
    const late = tokens.filter(({ mintedAt }) => mintedAt >= gone).map(purposeOf);
    expect([...new Set(early)].toSorted()).toEqual(["answer", "progress", "read", "source"]);
    expect(late).toContain("publish");
    expect(late).not.toContain("source");
  });

  it("are used for nothing but their purpose", () => {
    const used = (purpose: string) =>
      new Set(
        tokens
          .filter((token) => purposeOf(token) === purpose)
          .flatMap(({ uses }) => uses.map(({ method, path }) => `${method} ${path.replace(/\d+|[0-9a-f]{40}/g, "#")}`)),
      );
    const reading = [...used("read"), ...used("source")].filter((use) => use !== "DELETE /installation/token");
    expect(reading.filter((use) => !/^(GET|POST \/[^ ]+\/git-upload-pack$)/.test(use))).toEqual([]);
    expect([...used("progress")].filter((use) => !/check-runs|installation\/token/.test(use))).toEqual([]);
    expect([...used("answer")].filter((use) => !/comments|installation\/token/.test(use))).toEqual([]);
    expect(
      [...used("publish")].filter((use) => !/check-runs|comments|labels|pulls|installation\/token/.test(use)),
    ).toEqual([]);
  });
});

describe("the other sides", () => {
  it("GitHub and the model have nothing to complain about", () => {
    expectGoodManners(world);
    expect(world.model?.violations).toEqual([]);
  });
});

function receiptOf({ receipt }: RunView): Receipt {
  return receipt as Receipt;
}

/** What a token's permissions make it; `metadata: read` comes with each. */
function purposeOf({ permissions }: Readonly<TokenRecord>): string {
  const { metadata, ...own } = permissions;
  expect(metadata).toBe("read");
  const text = Object.entries(own)
    .map(([name, level]) => `${name}:${level}`)
    .toSorted()
    .join(" ");
  const purposes: Record<string, string> = {
    "contents:read pull_requests:read": "read",
    "contents:read": "source",
    "checks:write": "progress",
    "pull_requests:write": "answer",
    "checks:write pull_requests:write": "publish",
  };
  return purposes[text] ?? text;
}
