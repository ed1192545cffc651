import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { createRandom, type Random } from "../attack/corpus/random.ts";

/** A bare repository on this machine, with a branch `main` and a branch `topic` for a pull request. */
export interface History {
  readonly directory: string;
  /** Commits that are reachable from both. */
  readonly commits: number;
}

interface Shape {
  readonly seed: number;
  readonly files: number;
  readonly commits: number;
  /** Commits of main, from its end, at which the topic began. */
  readonly topicBehind: number;
  readonly topicCommits: number;
  /** Files that the topic changes. */
  readonly topicFiles: number;
}

/** Twenty thousand commits over two thousand files; the topic is small, and main has gone on since. */
export const longHistory: Shape = {
  seed: 1,
  files: 2_000,
  commits: 20_000,
  topicBehind: 400,
  topicCommits: 12,
  topicFiles: 9,
};
/** A tree of thirty thousand files; the topic is old, changes hundreds of them, and has merged main again and again. */
export const bigTree: Shape = {
  seed: 2,
  files: 30_000,
  commits: 600,
  topicBehind: 300,
  topicCommits: 58,
  topicFiles: 300,
};

const LINES = 12;
const STARTED = 1_600_000_000;
/** A name that git quotes unless it is told not to. Every topic adds a line to it. */
const FOREIGN_NAME = "docs/\u65e5\u672c\u8a9e.md";
/** What is no plain file of ours, as repositories have it somewhere. */
const ODD_FILES: Readonly<Record<string, { mode: string; content: string }>> = {
  "docs/\u00dcber uns.md": { mode: "100644", content: "# \u00dcber uns\n" },
  [FOREIGN_NAME]: { mode: "100644", content: "\u65e5\u672c\u8a9e\n" },
  "bin/tool": { mode: "100755", content: "#!/bin/sh\necho tool\n" },
  "assets/big.bin": {
    mode: "100644",
    content: `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 5000000\n`,
  },
  "latest.md": { mode: "120000", content: "docs/\u00dcber uns.md" },
};

/**
 * Makes a repository by a script: the same shape gives the same commits. Files are edited, renamed and tagged over and over,
 * main has merges, and the topic merges main and edits what main does not.
 */
export async function makeHistory(directory: string, shape: Shape): Promise<History> {
  await gitIn(process.cwd(), ["init", "--quiet", "--bare", "--initial-branch=main", directory]);
  const importer = spawn("git", ["fast-import", "--quiet", "--force"], {
    cwd: directory,
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = once(importer, "close");
  for (const part of streamOf(shape)) {
    if (!importer.stdin.write(part)) {
      await once(importer.stdin, "drain");
    }
  }
  importer.stdin.end();
  const [code] = (await ended) as [number | null];
  if (code !== 0) {
    throw new Error(`git fast-import ended with ${String(code)}`);
  }
  const commits = Number(await gitIn(directory, ["rev-list", "--count", "main", "topic"]));
  return { directory, commits };
}

/** The commands for git fast-import. */
function* streamOf(shape: Shape): Generator<string> {
  const random = createRandom(shape.seed, "history");
  const names = Array.from({ length: shape.files }, (_, index) => pathOf(index, 0));
  yield firstCommit(names);
  const began = shape.commits - shape.topicBehind;
  let topic = 0;
  for (let at = 1; at < shape.commits; at += 1) {
    // The last files are the topic's, so that its merges meet no conflict.
    yield* mainCommit(random, names, shape, at);
    if (at === began) {
      yield "reset refs/heads/topic\nfrom refs/heads/main\n\n";
    }
    const due = Math.floor(((at - began) * shape.topicCommits) / shape.topicBehind);
    for (; topic < due; topic += 1) {
      yield topicCommit(names, shape, topic + 1, at);
    }
  }
  for (; topic < shape.topicCommits; topic += 1) {
    yield topicCommit(names, shape, topic + 1, shape.commits - 1);
  }
}

function pathOf(index: number, renamed: number): string {
  const folder = `src/part-${String(index % 211).padStart(3, "0")}/group-${index % 7}`;
  return `${folder}/file-${index}${renamed === 0 ? "" : `-${renamed}`}.ts`;
}

function contentOf(index: number, edits: string): string {
  return Array.from({ length: LINES }, (_, line) => `export const value${index}_${line} = "${line}${edits}";\n`).join(
    "",
  );
}

function firstCommit(names: readonly string[]): string {
  const files = names.map((path, index) => fileOf(path, contentOf(index, "")));
  const odd = Object.entries(ODD_FILES).map(([path, { mode, content }]) => fileOf(path, content, mode));
  // A submodule is a commit elsewhere, of which there is nothing here but its id.
  const submodule = [
    `M 160000 ${"c".repeat(40)} vendor/library\n`,
    fileOf(
      ".gitmodules",
      '[submodule "vendor/library"]\n\tpath = vendor/library\n\turl = https://example.com/library.git\n',
    ),
  ];
  return `${commitHead("main", 0, "Begin")}${[...files, ...odd, ...submodule].join("")}\n`;
}

function* mainCommit(random: Random, names: string[], shape: Shape, at: number): Generator<string> {
  const index = random.int(shape.files - shape.topicFiles);
  const path = names[index] ?? "";
  if (at % 97 === 0) {
    const to = pathOf(index, at);
    names[index] = to;
    yield `${commitHead("main", at, "Rename")}R ${path} ${to}\n\n`;
  } else if (at % 211 === 0) {
    yield `reset refs/heads/side\nfrom refs/heads/main\n\n`;
    yield `${commitHead("side", at, "Aside")}${fileOf(`notes/${at}.md`, `Note ${at}\n`)}\n`;
    yield `${commitHead("main", at, "Merge")}merge refs/heads/side\n${fileOf(`notes/${at}.md`, `Note ${at}\n`)}\n`;
    yield `tag v${at}\nfrom refs/heads/main\ntagger ${signature(at)}\ndata 3\ntag\n`;
  } else {
    yield `${commitHead("main", at, "Edit")}${fileOf(path, contentOf(index, `, ${at}`))}\n`;
  }
}

/** A share of the topic's own files anew. Every fifth commit is a merge with main, whose tree it has with all of them. */
function topicCommit(names: readonly string[], shape: Shape, topic: number, at: number): string {
  const of = TOPIC_MARKS + topic;
  const first = shape.files - shape.topicFiles;
  const share = Math.ceil(shape.topicFiles / shape.topicCommits);
  const [from, to] = [Math.min((topic - 1) * share, shape.topicFiles), Math.min(topic * share, shape.topicFiles)];
  const isMerge = topic % 5 === 0;
  const indexes = Array.from({ length: to }, (_, index) => first + index).slice(isMerge ? 0 : from);
  const edited = indexes.map((index) => fileOf(names[index] ?? "", topicContent(index))).join("");
  const foreign = topic === 1 || isMerge ? fileOf(FOREIGN_NAME, `${ODD_FILES[FOREIGN_NAME]?.content ?? ""}more\n`) : "";
  // The first parent is the one whose tree a commit begins with.
  const parents = isMerge ? `from :${at}\nmerge :${of - 1}\n` : "";
  return `${commitHead("topic", at, isMerge ? "Merge main" : "Change", of)}${parents}${edited}${foreign}\n`;
}

function topicContent(index: number): string {
  const lines = contentOf(index, "").split("\n");
  return [...lines.slice(0, 4), `export const added${index} = true;`, ...lines.slice(5)].join("\n");
}

/** Marks of main are times, from 1 on. */
const TOPIC_MARKS = 1_000_000;

function commitHead(branch: string, at: number, message: string, mark = branch === "main" ? at : 0): string {
  const named = mark === 0 ? "" : `mark :${mark}\n`;
  return `commit refs/heads/${branch}\n${named}committer ${signature(at)}\ndata ${Buffer.byteLength(message)}\n${message}\n`;
}

function signature(at: number): string {
  return `A Person <person@example.com> ${STARTED + at * 60} +0000`;
}

function fileOf(path: string, content: string, mode = "100644"): string {
  return `M ${mode} inline ${path}\ndata ${Buffer.byteLength(content)}\n${content}\n`;
}

/** What git prints, without the line feed at its end. */
export async function gitIn(directory: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("git", [...args], { cwd: directory, maxBuffer: OUTPUT_BYTES_MAX });
  return stdout.trimEnd();
}

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
