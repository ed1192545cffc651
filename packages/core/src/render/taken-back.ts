import type { Run } from "../run.ts";
import { isoTime } from "./text.ts";

/** What a person is told of a machine that was taken back, and of what the run did then; null where none was. */
export function takenBackText({ takenBack, epoch, phase }: Run): string | null {
  if (takenBack === undefined) {
    return null;
  }
  const what = `AWS took its machine back at ${isoTime(takenBack.at)}`;
  if (epoch > takenBack.epoch) {
    return `${what}; it went on with an on-demand machine.`;
  }
  return phase === "queued" ? `${what}; it goes on with an on-demand machine.` : `${what}.`;
}
