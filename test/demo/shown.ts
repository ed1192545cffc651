import type { FakeGitHub } from "../fakes/github/server.ts";
import type { PullView } from "../fakes/github/views.ts";
import { eventually } from "../support/service.ts";
import { MAINTAINER } from "./open.ts";

/** From the press of the button to the commit: a handful of requests. */
const APPLIED_MS = 60_000;

/** What a person sees of the newest review: its words, then each comment beside its line. */
export function shownReview({ reviews }: PullView): string | null {
  const review = reviews.at(-1);
  if (review === undefined) {
    return null;
  }
  const beside = review.comments.map(({ path, line, body }) => `\n> beside ${path}:${line}\n${withoutMarker(body)}`);
  return [withoutMarker(review.body), ...beside].join("\n");
}

/** Without the line by which the service finds its own words again, which a page does not show. */
export function withoutMarker(body: string): string {
  return body.replace(/^<!-- mayfly:[^>]* -->\n+/, "");
}

interface Applied {
  readonly commit: string;
  /** The lines that the commit changed, as far as they can be told from the texts before and after. */
  readonly lines: readonly string[];
}

/** Presses Apply patch beside the check, if it is offered, and waits for the commit. Null where there is no patch. */
export async function applyPatch(
  github: FakeGitHub,
  pull: PullView,
  log: () => Promise<string>,
): Promise<Applied | null> {
  const check = pull.checkRuns.find(({ actions }) => actions.some(({ identifier }) => identifier === "apply_patch"));
  if (check === undefined) {
    return null;
  }
  github.requestCheckAction(pull.repo, check.id, "apply_patch", { by: MAINTAINER });
  const commit = await eventually(
    async () => {
      const { headSha } = github.pullRequest(pull);
      return headSha === pull.headSha ? null : headSha;
    },
    APPLIED_MS,
    log,
  );
  const paths = new Set(pull.reviews.at(-1)?.comments.map(({ path }) => path));
  const lines = await Promise.all([...paths].map((path) => changedLines(github, pull, { path, commit })));
  return { commit, lines: lines.flat() };
}

async function changedLines(
  github: FakeGitHub,
  pull: PullView,
  at: { path: string; commit: string },
): Promise<string[]> {
  const read = async (sha: string) => (await github.readFile(pull.repo, sha, at.path))?.toString().split("\n") ?? [];
  const [before, after] = await Promise.all([read(pull.headSha), read(at.commit)]);
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `- ${line.trim()}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line.trim()}`),
  ];
}
