import { parseWebhook, triggerOf, type TriggerOptions } from "@mayfly/core";
import { renderCheck } from "../../../packages/core/src/render/check.ts";
import { renderComment } from "../../../packages/core/src/render/comment.ts";
import { endedRun, endings, reportInput } from "../../../packages/core/src/render/run.fixture.ts";
import { corpus } from "../../safe-output/corpus.ts";
import { LABEL, pullRequestBody } from "../corpus/webhook-bodies.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const small = corpus.filter((text) => text.length < 3_500);
const options: TriggerOptions = { labels: ["codex-*"], appSlug: "mayfly" };
const app = { id: 9, login: "mayfly[bot]", type: "Bot" };
/** When our comment was written: whole payloads, so that they are refused for whose they are. */
const AT = "2026-01-02T03:04:05Z";
/** What other bots and their users obey at the start of a line. */
const CHAT_COMMAND = /^\s*(?:\/[a-z]|@[a-z0-9])/im;

/** Everything that is published comes back as events: none of them may start, end or change a run. */
export const answersThatStartRuns: Row = {
  id: "T25",
  attack:
    "What a run publishes is read as a command by the App itself, by another bot, or by a workflow, round and round.",
  needs: "nothing",
  unit: "answers",
  control: "a person's label in the same form does start a run, and the commands are seen in the answer as it came",
  async run(context) {
    const tally = createTally();
    const person = parseWebhook({ event: "pull_request", body: pullRequestBody() });
    tally.control(triggerOf(person, options).kind === "start", "a person's label asks for nothing");
    tally.control(CHAT_COMMAND.test("a\n /merge"), "a command is not seen");
    tally.control(CHAT_COMMAND.test("@dependabot rebase"), "a mention is not seen");
    echoes(context, tally);
    return tally.verdict("nothing published asked for anything");
  },
};

function echoes(context: AttackContext, tally: Tally): void {
  const random = context.random("echoes");
  for (let left = context.cases(3_000, 120); left > 0 && !tally.isBroken; left--) {
    const answer = random.once(2)
      ? random.pick(small)
      : `${random.pick(["/codex run", "/merge", "@mayfly run", `@codex ${LABEL}`, "/label codex-review"])}\n${random.pick(small)}`;
    const input = reportInput(answer);
    const run = endedRun(endings.succeeded);
    const comment = renderComment(run, input);
    const { summary } = renderCheck(run, { ...input, now: 0 });
    for (const text of [comment, summary]) {
      tally.expect(!CHAT_COMMAND.test(text), () => `a command is left of ${JSON.stringify(answer.slice(0, 200))}`);
    }
    for (const { event, body } of eventsOf(comment, summary)) {
      const trigger = triggerOf(parseWebhook({ event, body }), options);
      const what = `${event} ${String((body as { action?: string }).action)}`;
      tally.expect(trigger.kind === "ignore", () => `${what} of our own asks for ${trigger.kind}`);
    }
  }
}

/** The deliveries that GitHub sends for what the App has done, with our words wherever GitHub would put them. */
function eventsOf(comment: string, summary: string): { event: string; body: Record<string, unknown> }[] {
  const common = pullRequestBody({ sender: app, body: comment, title: summary.slice(0, 256) });
  const issue = { number: 3, title: "Say more", body: comment, pull_request: {} };
  const check = {
    id: 4,
    app: { slug: "mayfly" },
    name: `mayfly / ${LABEL}`,
    external_id: "run_01kq3v9d5e0123456789",
    output: { summary },
  };
  const rest = { repository: common["repository"], installation: common["installation"], sender: app };
  return [
    ...["labeled", "unlabeled", "synchronize", "closed", "edited", "opened"].map((action) => ({
      event: "pull_request",
      body: pullRequestBody({ action, sender: app, body: comment }),
    })),
    ...["created", "edited"].map((action) => ({
      event: "issue_comment",
      body: { ...rest, action, issue, comment: { id: 1, body: comment, user: app, created_at: AT, updated_at: AT } },
    })),
    // The same under a name that its shape does not fit.
    { event: "pull_request", body: { ...common, comment: { id: 1, body: comment, user: app } } },
    { event: "pull_request_review", body: { ...common, review: { body: comment } } },
    ...["created", "completed", "rerequested", "requested_action"].map((action) => ({
      event: "check_run",
      body: { ...rest, action, check_run: check, requested_action: { identifier: "approve" } },
    })),
    { event: "check_suite", body: { ...rest, action: "completed", check_suite: {} } },
    { event: "workflow_dispatch", body: { ...rest, inputs: { text: comment } } },
    { event: "status", body: { ...rest, description: summary } },
    { event: "push", body: { ...rest, ref: "refs/heads/main" } },
  ];
}
