import { decidePolicy, isFork, parseTaskFile, parseWebhook, type PolicyQuestion, type Webhook } from "@mayfly/core";
import { BASE_REPOSITORY, pullRequestBody } from "../corpus/webhook-bodies.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

/** A head that is younger than this when it is labelled is not what the person saw (README: forks). */
const SETTLED_MS = 60_000;
const LABELLED = Date.UTC(2026, 0, 2, 3, 4, 5);
const FORK = 2_002;

export const forks: Row = {
  id: "T06",
  attack:
    "A fork's pull request asks for a run by itself, by whom the task file lists, by a bot, or with a head pushed just now.",
  needs: "nothing",
  unit: "webhooks",
  control: "a maintainer's label on a fork that has settled does start one",
  async run(context) {
    const tally = createTally();
    tally.control(decide(deliveryOf(FORK, LABELLED - SETTLED_MS), "maintain").allowed, "no fork may run at all");
    whoIsAFork(tally);
    moments(context, tally);
    return tally.verdict(
      "a fork runs by a label of somebody who may push, on a head that has settled, and by nothing else",
    );
  },
};

/** What GitHub says of the head decides, and not what the head's repository says of itself. */
function whoIsAFork(tally: Tally): void {
  for (const [head, wanted] of [
    [{ id: BASE_REPOSITORY, pushedAt: null }, false],
    [{ id: FORK, pushedAt: null }, true],
    [null, true],
  ] as const) {
    const webhook = parseWebhook({ event: "pull_request", body: pullRequestBody({ headRepository: head }) });
    tally.equal("pullRequest" in webhook && isFork(webhook.pullRequest), wanted, `a head in ${JSON.stringify(head)}`);
  }
}

function moments(context: AttackContext, tally: Tally): void {
  const random = context.random("moments");
  for (let left = context.cases(100_000, 3_000); left > 0 && !tally.isBroken; left--) {
    const role = random.pick(["none", "read", "triage", "write", "maintain", "admin"]);
    const type = random.pick(["User", "User", "Bot", "Organization"]);
    const login = random.pick(["listed", "listed-bot[bot]", "github-actions[bot]", "mallory"]);
    const age = random.pick([null, -1_000, 0, 59_000, 60_000, 61_000, random.int(200_000), 10_000_000]);
    const pushedAt = age === null ? null : LABELLED - age;
    const webhook = deliveryOf(FORK, pushedAt, { id: 5, login, type });
    const { allowed } = decide(webhook, role);
    const may = type === "User" && ["write", "maintain", "admin"].includes(role) && age !== null && age >= SETTLED_MS;
    tally.expect(
      allowed === may,
      () => `${type} ${login} with role ${role}, head pushed ${age} ms before: ${allowed ? "runs" : "is refused"}`,
    );
  }
}

function deliveryOf(
  headId: number,
  pushedAt: number | null,
  sender = { id: 5, login: "listed", type: "User" },
): Webhook {
  const pushed = pushedAt === null ? null : new Date(pushedAt).toISOString();
  const body = pullRequestBody({
    sender,
    headRepository: { id: headId, pushedAt: pushed },
    updatedAt: new Date(LABELLED).toISOString(),
  });
  return parseWebhook({ event: "pull_request", body });
}

function decide(webhook: Webhook, role: string): { allowed: boolean } {
  if (webhook.kind !== "labeled") {
    return { allowed: false };
  }
  const { pullRequest, repository, sender, label } = webhook;
  const question: PolicyQuestion = {
    label,
    repository,
    actor: sender,
    role,
    fork: isFork(pullRequest),
    head: pullRequest.head.sha,
    headPushedAt: pullRequest.head.repository?.pushedAt ?? null,
    labelledAt: pullRequest.updatedAt,
    task: parseTaskFile(
      "---\nallow-users: [listed]\nallow-bots: true\nallow-bot-users: [listed-bot]\n---\nReview this.\n",
    ),
    modelDefault: "gpt-5.5",
    ceiling: {
      labels: ["codex-*"],
      repositories: ["*/*"],
      models: ["*"],
      safetyStrategies: ["unprivileged-user"],
      publications: ["comment", "check"],
      runMsMax: 3_600_000,
      setupHosts: [],
    },
  };
  return decidePolicy(question);
}
