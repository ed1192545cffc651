import { writeFile } from "node:fs/promises";
import { join, posix } from "node:path";
import { isAppError } from "@mayfly/core";
import { SourceLayout } from "@mayfly/core/protocol";
import { refCommands } from "../../../apps/agent/src/source.ts";
import { splitNul } from "../../../apps/orchestrator/src/source/local-files.ts";
import { isWithin } from "../../../apps/orchestrator/src/source/local-place.ts";
import { writePack } from "../../../apps/orchestrator/src/source/pack.ts";
import { answerOf, type Commit, hostileCommits, spoilt } from "../corpus/commit-answers.ts";
import { hostileName } from "../corpus/hostile-names.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const ANSWER_MS = 60_000;
const PACK_BYTES_MAX = 1_000;
/** Commits of one answer: a large pull request has as many. */
const COMMITS = 1_000;
/** Names of one list. */
const NAMES = 10;

export const answersOfGit: Row = {
  id: "T10",
  attack: "Commits are written so that whoever reads git's answer about them takes their words for something else.",
  needs: "nothing",
  control: "an answer in another order, about another kind or without its end is noticed",
  unit: "commits and sources",
  async run(context) {
    const tally = createTally();
    const folder = await context.folder();
    const random = context.random("commits");
    for (let left = context.cases(100_000, 4_000); left > 0 && !tally.isBroken; left -= COMMITS) {
      const commits = hostileCommits(random, COMMITS);
      const found = await shallowOf(folder, commits, answerOf(commits));
      const wanted = commits.filter(({ isEdge }) => isEdge).map(({ id }) => id);
      tally.equal(found, wanted, "the edge of the history");
      tally.count(COMMITS - 1);
      const refused = await shallowOf(folder, commits, spoilt(random, commits)).catch((error: unknown) => error);
      tally.control(isAppError(refused, "SOURCE_UNAVAILABLE"), `a spoilt answer was taken: ${String(refused)}`);
    }
    return tally.verdict("no word of a commit was taken for its place in the history");
  },
};

/** What stands for each of git's verbs: the answer, an empty list of objects, and a pack that is this list. */
const programs: Readonly<Record<string, (answer: string) => readonly string[]>> = {
  "cat-file": (answer) => ["cat", answer],
  "rev-list": () => ["true"],
  "pack-objects": () => ["cat"],
};

/** What the pack's reader makes of this answer. Only git's answer is made up: it comes out of a process as ever. */
async function shallowOf(folder: string, commits: readonly Commit[], answer: Buffer): Promise<string[]> {
  const file = join(folder, "answer");
  await writeFile(file, answer);
  const pack = await writePack({
    git: ([verb = ""]) => ({ command: "/bin/busybox", args: programs[verb]?.(file) ?? ["false"], env: {} }),
    commits: commits.map(({ id }) => id),
    file: join(folder, "pack"),
    bytesMax: PACK_BYTES_MAX,
    timeoutMs: ANSWER_MS,
  });
  return pack.shallow;
}

export const namesAndPlaces: Row = {
  id: "T11",
  attack: "Names of files, folders and commits are chosen so that they stand for another place or another command.",
  needs: "nothing",
  control: "names that mean no harm come through as they are",
  unit: "names and files",
  async run(context) {
    const tally = createTally();
    lists(context, tally);
    folders(context, tally);
    layouts(context, tally);
    return tally.verdict("every name stayed one name");
  },
};

/** Lists of names that end in NUL: what comes out is what went in, whatever the names are. */
function lists(context: AttackContext, tally: Tally): void {
  const random = context.random("lists");
  for (let left = context.cases(100_000, 2_000); left > 0 && !tally.isBroken; left -= NAMES) {
    const names = Array.from({ length: NAMES }, () =>
      random.once(4)
        ? Buffer.from(random.bytes(1 + random.int(20)).map((byte) => byte || 1))
        : Buffer.from(withoutNul(hostileName(random)) || "-"),
    );
    const read = splitNul(Buffer.concat(names.flatMap((name) => [name, Buffer.of(0)])));
    const hex = (all: readonly Buffer[]) => all.map((one) => one.toString("hex")).join(" ");
    tally.expect(hex(read) === hex(names), () => `${hex(names)} was read as ${hex(read)}`);
    tally.count(NAMES - 1);
  }
}

/** Whether a place is in a folder, asked of places that look as if they were. */
function folders(context: AttackContext, tally: Tally): void {
  const random = context.random("places");
  tally.control(isWithin("/home/a", "/home/a/b") && isWithin("/home/a", "/home/a"), "a folder is not in itself");
  for (let left = context.cases(100_000, 2_000); left > 0 && !tally.isBroken; left--) {
    const folder = `/${random.pick(["home/a", "..a", "a..", "home", "-", "a b"])}`;
    const path = posix.resolve(`${folder}${random.pick(["", "/", "/../", "x/"])}${withoutNul(hostileName(random))}`);
    const wanted = path === folder || path.startsWith(`${folder}/`);
    tally.expect(isWithin(folder, path) === wanted, () => `${JSON.stringify(path)} in ${folder}: ${!wanted}`);
  }
}

/** What the broker says of a source becomes commands for git in the machine: object ids, or nothing. */
function layouts(context: AttackContext, tally: Tally): void {
  const random = context.random("layouts");
  const sound = {
    head: "a".repeat(40),
    base: "b".repeat(40),
    merge_base: "c".repeat(40),
    shallow: ["d".repeat(40)],
    pack_bytes: 100,
    pack_sha256: "e".repeat(64),
  };
  const parsed = SourceLayout.safeParse(sound);
  tally.control(parsed.success && refCommands(parsed.data).split("\n").length === 5, "a sound layout is refused");
  for (let left = context.cases(100_000, 2_000); left > 0 && !tally.isBroken; left--) {
    const id = `${random.pick(["", "a".repeat(39), "a".repeat(40), "A".repeat(40), "a".repeat(64)])}${hostileName(random)}`;
    const name = random.pick(["head", "base", "merge_base", "shallow"]);
    const layout = { ...sound, [name]: name === "shallow" ? [sound.head, id] : id };
    const read = SourceLayout.safeParse(layout);
    const isHeld =
      !read.success ||
      (/^(?:create refs\/(?:heads\/pull-request|mayfly\/[a-z-]+) [0-9a-f]{40,64}\n){3,4}$/.test(
        refCommands(read.data),
      ) &&
        read.data.shallow.every((one) => /^[0-9a-f]{40,64}$/.test(one)));
    tally.expect(isHeld, () => `${JSON.stringify(layout)} is taken`);
  }
}

function withoutNul(name: string): string {
  return name.replaceAll("\0", "");
}
