import {
  type Activity,
  type EndedRun,
  parseReview,
  type Result,
  type RunFacts,
  textsOfActivity,
  textsOfReview,
} from "@mayfly/core";

/**
 * Every text that came from the run's machine and could be shown: not the answer alone, but what the agent said of itself.
 * Empty for a run that had none.
 */
export function saidByMachine(run: EndedRun, { result }: RunFacts, activity: Activity): string[] {
  if (run.attempt === null) {
    return [];
  }
  const { gate } = run.attempt;
  const seen = gate?.checks.flatMap((check) => [check.name, check.seen]) ?? [];
  // Those of the gate together, since a secret may be spread over them.
  const ofGate = [...seen, ...(gate?.not_applicable ?? [])].join("\n");
  return [
    run.ending.detail,
    ...(result === null ? [] : saidIn(result)),
    ofGate,
    textsOfActivity(activity).join("\n"),
  ].filter((text) => text !== "");
}

function saidIn({ final_message: answer, structured, codex, changes }: Result): string[] {
  const texts = [answer, structured].flatMap((part) => (part?.state === "present" ? [part.text] : []));
  // A review is shown as it reads, without the escapes that it was written with.
  const reviews = texts.flatMap((text) => parseReview(text) ?? []);
  const files = changes?.state === "present" ? changes.files : [];
  const changed = files.map(({ path, content }) => `${path}\n${Buffer.from(content ?? "", "base64").toString("utf8")}`);
  return [...texts, ...reviews.flatMap(textsOfReview), ...changed, codex.error ?? "", codex.version];
}
