import { assertNever } from "./assert.ts";
import type { ResultFrame } from "./protocol.ts";

/** Why a run ended, as the user sees it. */
export const outcomes = ["succeeded", "failed", "cancelled", "timed_out", "lost", "refused", "superseded"] as const;
export type Outcome = (typeof outcomes)[number];

/**
 * Every reason a run can end with, its outcome aside: what happened in our own words, and what a person can do.
 * Codes are stable; `docs/reference/endings.md` is generated from this table.
 */
export const endingTexts = {
  answered: { title: "Codex has answered", fix: "" },
  codex_failed: { title: "Codex ended with an error", fix: "Read the error below, then ask again." },
  answer_missing: {
    title: "Codex ended without an answer",
    fix: "Make the task's prompt ask for a final answer, then ask again.",
  },
  answer_withheld: {
    title: "Codex's answer could not be taken over",
    fix: "The answer must be a regular text file of at most 256 KiB that holds no credential. Ask again.",
  },
  gate_failed: {
    title: "The machine's self-test did not pass, so no key was lent",
    fix: "An operator should look at the receipt and at the machine image.",
  },
  setup_failed: {
    title: "A set-up command of the task failed",
    fix: "Read below what it said, correct the task's `setup` or the code it builds, then ask again.",
  },
  agent_failed: {
    title: "The agent in the machine could not do its work",
    fix: "An operator should look at the receipt.",
  },
  source_failed: {
    title: "The source could not be fetched",
    fix: "Check that the commits still exist, then ask again.",
  },
  source_too_big: { title: "The source is bigger than Mayfly accepts", fix: "Ask an operator to raise the limit." },
  no_machine: {
    title: "No machine became free in time",
    fix: "Ask again later, or ask an operator for more machines.",
  },
  publish_failed: { title: "The result could not be put on GitHub", fix: "An operator finds it in the archive." },
  deadline: {
    title: "Time ran out",
    fix: "Give the task a longer timeout, or a smaller job, then ask again.",
  },
  machine_lost: {
    title: "The machine was lost, and so was the one that replaced it",
    fix: "Ask again. If it happens twice, ask an operator.",
  },
  result_missing: {
    title: "The machine fell silent before it returned a result",
    fix: "Ask again. If it happens twice, ask an operator.",
  },
  label_removed: { title: "Cancelled: the label was removed", fix: "Ask again to start anew." },
  cancel_asked: { title: "Cancelled by a comment", fix: "Ask again to start anew." },
  closed: { title: "Cancelled: the pull request was closed", fix: "Reopen it and ask again." },
  drafted: {
    title: "Cancelled: the pull request was made a draft",
    fix: "Ask again when it is ready, or set on-draft to continue in the task file.",
  },
  operator: { title: "Cancelled by an operator", fix: "Ask again to start anew." },
  pushed: { title: "Superseded: new commits were pushed", fix: "Ask again to run on the new head." },
  base_changed: {
    title: "Superseded: the pull request goes into another branch now",
    fix: "Ask again to run on the difference as it is now.",
  },
  newer_run: { title: "Superseded by a newer run of the same task", fix: "Look at the newer run." },
  actor_lacks_write: {
    title: "Not started: only people with write access may start a run",
    fix: "Ask a person with write access to remove the label and add it again.",
  },
  bot_not_allowed: {
    title: "Not started: a bot added the label",
    fix: "Name the bot under allow-bot-users in the task file, or let a person add the label.",
  },
  task_missing: {
    title: "Not started: there is no task file for this label",
    fix: "Add the named file to the default branch, or to that of the organisation's repository .github.",
  },
  task_off: {
    title: "Not started: the task is switched off",
    fix: "Take `enabled: false` out of the named file, then ask again.",
  },
  task_invalid: {
    title: "Not started: the task file has a mistake",
    fix: "Correct the named line on the default branch, then ask again.",
  },
  not_allowed: { title: "Not started: the operator does not allow this", fix: "Change the task, or ask an operator." },
  fork_head_fresh: {
    title: "Not started: the fork's head had just been pushed when the label was added",
    fix: "Look at the commit named below, then remove the label and add it again.",
  },
  fork_gone: {
    title: "Not started: the fork of this pull request is deleted",
    fix: "Look at the commit named below. To have it run, comment the command named below.",
  },
  installation_gone: {
    title: "The App is no longer installed here, or it is suspended",
    fix: "Install it again or end its suspension, then ask again.",
  },
} as const satisfies Record<string, { title: string; fix: string }>;

export type EndingCode = keyof typeof endingTexts;

/** How a run ended. `detail` may carry hostile text: it passes the safe-output rules before anyone sees it. */
export interface Ending {
  readonly outcome: Outcome;
  readonly code: EndingCode;
  readonly detail: string;
}

/** A run's difference is not the pull request's any more. Both names are a stranger's words. */
export function baseChanged(now: string, before: string): Ending {
  const detail = `the pull request now goes into ${now}, and was to go into ${before}`;
  return { outcome: "superseded", code: "base_changed", detail };
}

/** What an attempt's own report says about how the run ended. The machine it came from is hostile: only this is believed. */
export function endingOf(frame: ResultFrame): Ending {
  if (frame.kind === "failure") {
    const { step, message } = frame.failure;
    const code = step === "gate" ? "gate_failed" : step === "setup" ? "setup_failed" : "agent_failed";
    return { outcome: "failed", code, detail: code === "setup_failed" ? message : `${step}: ${message}` };
  }
  const { codex, final_message: answer } = frame.result;
  switch (codex.ended_by) {
    case "deadline":
      return { outcome: "timed_out", code: "deadline", detail: "Codex was ended at the deadline" };
    case "stop":
      return { outcome: "cancelled", code: "operator", detail: "Codex was told to stop" };
    case "signal":
    case "exit":
      break;
    default:
      return assertNever(codex.ended_by);
  }
  if (codex.exit_code !== 0) {
    const how = codex.exit_code === null ? "a signal" : `exit code ${codex.exit_code}`;
    return {
      outcome: "failed",
      code: "codex_failed",
      detail: `${how}${codex.error === null ? "" : `: ${codex.error}`}`,
    };
  }
  if (answer.state === "withheld") {
    return answer.why === "absent"
      ? { outcome: "failed", code: "answer_missing", detail: "there is no final message" }
      : { outcome: "failed", code: "answer_withheld", detail: answer.why };
  }
  return answer.text.trim() === ""
    ? { outcome: "failed", code: "answer_missing", detail: "the final message is empty" }
    : { outcome: "succeeded", code: "answered", detail: "" };
}
