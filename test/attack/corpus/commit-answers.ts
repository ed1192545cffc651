import type { Random } from "./random.ts";

/** A commit as `git cat-file` shows it, and what is true of it. */
export interface Commit {
  readonly id: string;
  /** Latin-1: git keeps bytes. */
  readonly text: string;
  /** One of its parents is not among the others. */
  readonly isEdge: boolean;
}

const ID_BYTES = 20;

/** As many commits, whose words look like parents, like ends of headers and like the next answer. */
export function hostileCommits(random: Random, count: number): Commit[] {
  const ids = Array.from({ length: count }, () => random.bytes(ID_BYTES).toString("hex"));
  return ids.map((id) => {
    const parents = Array.from({ length: random.int(4) }, () =>
      random.once(8) ? random.bytes(ID_BYTES).toString("hex") : random.pick(ids),
    );
    const words = () => random.soup(pieces(random, random.pick(ids)), 0, 8);
    // Within a header a new line begins with a blank.
    const folded = () => words().replaceAll("\n", "\n ");
    const header = [
      `tree ${random.bytes(ID_BYTES).toString("hex")}`,
      ...parents.map((parent) => `parent ${parent}`),
      `author ${words().replaceAll("\n", " ")} <a@example.com> 1 +0000`,
      `committer parent ${random.pick(ids)} <> 1 +0000`,
      ...(random.once(3) ? [`gpgsig -----BEGIN PGP SIGNATURE-----\n ${folded()}`] : []),
      ...(random.once(5) ? [`mergetag object ${random.pick(ids)}\n parent ${random.pick(ids)}\n ${folded()}`] : []),
      ...(random.once(5) ? [`encoding ${words().replaceAll("\n", " ")}`] : []),
    ].join("\n");
    return { id, text: `${header}\n\n${words()}`, isEdge: parents.some((parent) => !ids.includes(parent)) };
  });
}

function pieces(random: Random, id: string): string[] {
  return [
    "\n",
    "\n\n",
    `parent ${id}`,
    `parent ${"0".repeat(40)}\n`,
    `${id} commit 5\n`,
    `${id} missing\n`,
    `${id} commit 99999999999999999999\n`,
    "\0",
    "\r\n",
    "\u00ff\u00fe",
    " ",
    "tree ",
    random.bytes(3).toString("latin1"),
  ];
}

/** What git answers when it is asked for all of them. */
export function answerOf(commits: readonly Commit[]): Buffer {
  return Buffer.from(commits.map(({ id, text }) => `${id} commit ${text.length}\n${text}\n`).join(""), "latin1");
}

/** An answer that git would not give about these: in another order, of another kind, without its last. */
export function spoilt(random: Random, commits: readonly Commit[]): Buffer {
  const at = random.int(commits.length);
  const one = commits[at] ?? { id: "", text: "" };
  const record = `${one.id} commit ${one.text.length}\n${one.text}\n`;
  const whole = answerOf(commits).toString("latin1");
  switch (random.int(5)) {
    case 0:
      return answerOf(commits.toReversed());
    case 1:
      return answerOf(commits.slice(0, -1));
    case 2:
      return Buffer.from(
        whole.replace(record, () => `${one.id} missing\n`),
        "latin1",
      );
    case 3:
      return Buffer.from(
        whole.replace(record, () => record.replace(" commit ", random.pick([" blob ", " tag ", " "]))),
        "latin1",
      );
    default:
      return Buffer.alloc(0);
  }
}
