import {
  type Actor,
  decidePolicy,
  parseTaskFile,
  parseWebhook,
  type PolicyQuestion,
  recheck,
  type TaskFile,
  triggerOf,
} from "@mayfly/core";
import { endedRun, endings } from "../../../packages/core/src/render/run.fixture.ts";
import { pullRequestBody } from "../corpus/webhook-bodies.ts";
import type { Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const roles = [
  "write",
  "maintain",
  "admin",
  "triage",
  "read",
  "none",
  "",
  "Write",
  "ADMIN",
  "owner",
  "security",
  "write ",
];
const kinds = ["User", "Bot", "Organization", "Mannequin"] as const;
const logins = ["mallory", "listed", "LISTED", "github-actions[bot]", "listed-bot[bot]", "listed-bot", "other[bot]"];
/** Task files, and whom each names beside those with the right to push. */
const files = [
  { text: "", users: [], bots: [] },
  { text: "allow-users: [listed]\n", users: ["listed"], bots: [] },
  { text: "allow-bots: true\n", users: [], bots: ["github-actions[bot]", "github-actions"] },
  { text: "allow-bot-users: [listed-bot]\n", users: [], bots: ["listed-bot[bot]", "listed-bot"] },
] as const;
const mayPush = new Set(["write", "maintain", "admin"]);

const ceiling = {
  labels: ["codex-*"],
  repositories: ["*/*"],
  models: ["*"],
  safetyStrategies: ["unprivileged-user"],
  publications: ["comment", "check"],
  runMsMax: 3_600_000,
  setupHosts: [],
} as const;

/** Every cell of the table, at every moment that somebody's right is looked at. */
export const whoMayStart: Row = {
  id: "T05",
  attack:
    "The label is set by somebody with the role triage or less, a bot, the App itself, an organisation, or a ghost.",
  needs: "nothing",
  unit: "senders",
  control: "the cells of the table that may run do run",
  async run() {
    const tally = createTally();
    const allowed = tableOfPolicy(tally) + tableOfRecheck(tally);
    tally.control(allowed > 0, "nobody at all may start a run");
    actsOfTheApp(tally);
    return tally.verdict("only whom the table allows may start a run, or have it go on");
  },
};

function tableOfPolicy(tally: Tally): number {
  let allowed = 0;
  for (const file of files) {
    const task = taskOf(file.text);
    for (const type of kinds) {
      for (const login of logins) {
        for (const role of roles) {
          for (const fork of [false, true]) {
            const may = mayStart({ type, login, role, fork }, file);
            const decided = decidePolicy(questionOf({ id: 1, login, type }, role, fork, task)).allowed;
            const cell = `${type} ${login} with role ${JSON.stringify(role)}, fork ${fork}, task file ${JSON.stringify(file.text)}`;
            tally.expect(decided === may, () => `${cell}: ${decided ? "may" : "may not"} start a run`);
            allowed += decided ? 1 : 0;
          }
        }
      }
    }
  }
  return allowed;
}

function mayStart(
  { type, login, role, fork }: { type: string; login: string; role: string; fork: boolean },
  { users, bots }: { users: readonly string[]; bots: readonly string[] },
): boolean {
  switch (type) {
    case "User":
      return mayPush.has(role) || (!fork && users.includes(login.toLowerCase()));
    case "Bot":
      return !fork && bots.includes(login);
    default:
      return false;
  }
}

/** A person who has lost the right since: asked at the claim and at publication. */
function tableOfRecheck(tally: Tally): number {
  let allowed = 0;
  const { origin, task } = endedRun(endings.succeeded).request;
  if (origin.kind !== "pull_request") {
    throw new Error("the fixture is a pull request's run");
  }
  for (const role of roles) {
    for (const fork of [false, true]) {
      for (const isListed of [false, true]) {
        const ending = recheck(
          { ...origin, fork, actor: { id: 4, login: "mallory", type: "User" } },
          { ...task, allowUsers: isListed ? ["Mallory"] : [] },
          { open: true, head: origin.head, role, labelled: true, baseRef: "main", draft: false },
        );
        const may = mayPush.has(role) || (isListed && !fork);
        const cell = `role ${JSON.stringify(role)}, fork ${fork}, listed ${isListed}`;
        tally.expect((ending === null) === may, () => `${cell}: the run ${ending === null ? "goes on" : "ends"}`);
        allowed += ending === null ? 1 : 0;
      }
    }
  }
  return allowed;
}

/** What the App does itself must ask for nothing; a person of the same name is a person. */
function actsOfTheApp(tally: Tally): void {
  for (const login of ["mayfly[bot]", "Mayfly[bot]", "MAYFLY[BOT]"]) {
    for (const action of ["labeled", "unlabeled", "synchronize", "closed"]) {
      const body = pullRequestBody({ action, sender: { id: 9, login, type: "Bot" } });
      const { kind } = triggerOf(parseWebhook({ event: "pull_request", body }), {
        labels: ["codex-*"],
        appSlug: "mayfly",
      });
      tally.expect(kind === "ignore", () => `${login} ${action}: ${kind}`);
    }
  }
  const person = pullRequestBody({ sender: { id: 9, login: "mayfly", type: "User" } });
  const { kind } = triggerOf(parseWebhook({ event: "pull_request", body: person }), {
    labels: ["codex-*"],
    appSlug: "mayfly",
  });
  tally.control(kind === "start", "a person's label asks for nothing");
}

function taskOf(frontMatter: string): TaskFile {
  return parseTaskFile(`---\n${frontMatter}---\nReview this.\n`);
}

function questionOf(actor: Actor, role: string, fork: boolean, task: TaskFile): PolicyQuestion {
  return {
    label: "codex-review",
    repository: { id: 1, owner: "example-org", name: "shelf" },
    actor,
    role,
    fork,
    head: "a".repeat(40),
    headPushedAt: 0,
    labelledAt: 10_000_000,
    task,
    modelDefault: "gpt-5.5",
    ceiling,
  };
}
