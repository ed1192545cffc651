import { createHash } from "node:crypto";
import {
  type Actor,
  checkPatch,
  type PatchBase,
  type PullRequestNow,
  type PullRequestOrigin,
  refuseApply,
} from "@mayfly/core";
import type { Change } from "../../../packages/core/src/patch/change.ts";
import type { Random } from "../corpus/random.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const TEXT = "one\ntwo\n";
const blobOf = (text: string) => createHash("sha1").update(text).digest("hex");
const present: Readonly<Record<string, string>> = {
  "README.md": "100644",
  "src/main.ts": "100644",
  "bin/run": "100755",
  link: "120000",
  module: "160000",
  ".github/workflows/ci.yml": "100644",
  "package.json": "100644",
};
const base: PatchBase = {
  entries: new Map(Object.entries(present).map(([path, mode]) => [path, { mode, sha: blobOf(TEXT) }])),
  blobs: new Map([[blobOf(TEXT), Buffer.from(TEXT)]]),
};

function write(path: string, other: Partial<Change> = {}): Change {
  const mode = present[path];
  const content = Buffer.from("three\n").toString("base64");
  return { path, base: mode === undefined ? null : blobOf(TEXT), mode: mode ?? "100644", content, ...other };
}

const remove = (path: string): Change => write(path, { mode: null, content: null });

/** What must not be written, whoever asks. */
const guarded = [
  ".github/workflows/ci.yml",
  ".github/CODEOWNERS",
  "package.json",
  "sub/package-lock.json",
  "AGENTS.md",
  "action.yml",
  "Dockerfile",
  "Makefile",
  "ci/x.sh",
  ".gitattributes",
  ".gitmodules",
  ".husky/pre-commit",
  ".vscode/tasks.json",
];
const elsewhere = [
  "../up",
  "/etc/passwd",
  ".git/config",
  "a/../../b",
  "sub/.GIT/hooks/post-checkout",
  "git~1/config",
  ".git::$DATA",
  ".g\u200Cit/config",
  "a\\b",
  "a\r",
  "cafe\u0301",
  "readme.MD",
  "link/a",
  "module/a",
  "src",
  "x\u202Egnp.exe",
];
const kinds: Change[] = [
  write("new", { mode: "120000" }),
  write("README.md", { mode: "120000" }),
  write("new", { mode: "160000", content: null }),
  write("new", { mode: "100755" }),
  write("README.md", { mode: "100755" }),
  write("new", { content: Buffer.from("a\0b").toString("base64") }),
  write("link"),
  remove("module"),
];
const untrue: Change[] = [
  write("README.md", { base: blobOf("another") }),
  write("README.md", { base: null }),
  write("new", { base: blobOf(TEXT) }),
];
/** Settings of an operator who gave too much away. */
const generous = [".github/workflows/*", ".github/*/*", "*"];

export const maliciousPatches: Row = {
  id: "T24",
  attack: "A patch touches workflows, owners, manifests, hooks, links or modes.",
  needs: "nothing",
  unit: "patches",
  control: "a harmless patch is accepted, and may be applied by somebody who may",
  async run(context) {
    const tally = createTally();
    tally.control(
      codeOf([write("README.md"), write("src/new.ts"), remove("bin/run")]) === "ok",
      "no patch is accepted",
    );
    guarded.forEach((path) => judge(tally, [write(path)], "E_PROTECTED"));
    elsewhere.forEach((path) => judge(tally, [write(path)], "E_PATH"));
    kinds.forEach((change) => judge(tally, [change], "E_MODE"));
    untrue.forEach((change) => judge(tally, [change], "E_BASE"));
    judge(tally, [remove("README.md"), write(".github/workflows/moved.yml")], "E_PROTECTED");
    judge(tally, [remove(".github/workflows/ci.yml")], "E_PROTECTED");
    for (const allowed of generous) {
      judge(tally, [write(".github/workflows/ci.yml")], "E_PROTECTED", [allowed]);
      judge(tally, [write(".github/Workflows/new.yml")], "E_PROTECTED", [allowed]);
    }
    mutations(context, tally);
    whoApplies(tally);
    return tally.verdict("every such patch was refused with its rule's code");
  },
};

/** Spellings that are the same file somewhere: none may slip through as a harmless one. */
function mutations(context: AttackContext, tally: Tally): void {
  const random = context.random("patches");
  for (let left = context.cases(20_000, 1_000); left > 0 && !tally.isBroken; left--) {
    const path = respell(random, random.pick(guarded));
    const code = codeOf([write("README.md"), write(path)]);
    tally.expect(["E_PROTECTED", "E_PATH", "E_BASE"].includes(code), () => `${JSON.stringify(path)} is ${code}`);
  }
}

function respell(random: Random, path: string): string {
  const letters = Array.from(path, (letter) => (random.once(3) ? letter.toUpperCase() : letter)).join("");
  const at = letters.indexOf("/") + 1;
  const mark = random.pick(["", "", "\u200C", "\u00AD", "\uFEFF", "\u202E"]);
  const marked = `${letters.slice(0, at)}${mark}${letters.slice(at)}`;
  return random.pick([marked, `${marked}.`, `${marked} `, `./${marked}`, `x/../${marked}`, `${marked}:x`, marked]);
}

const own: PullRequestOrigin = {
  kind: "pull_request",
  delivery: "d-1" as PullRequestOrigin["delivery"],
  installation: 1,
  repository: { id: 2, owner: "example-org", name: "shelf" },
  number: 3,
  label: "codex-fix",
  actor: { id: 4, login: "maintainer", type: "User" },
  role: "write",
  head: "a".repeat(40),
  base: "b".repeat(40),
  fork: false,
};

function whoApplies(tally: Tally): void {
  const actor: Actor = { id: 1, login: "someone", type: "User" };
  const now: PullRequestNow = {
    open: true,
    head: own.head,
    headRepositoryId: own.repository.id,
    headRef: "topic",
    defaultBranch: "main",
    role: "write",
  };
  for (const isDraft of [false, true]) {
    tally.control(refuseApply(own, actor, now, { isDraft }) === null, "nobody may apply a patch");
  }
  const changed: Partial<PullRequestNow>[] = [
    { open: false },
    { head: "f".repeat(40) },
    { headRepositoryId: own.repository.id + 1 },
    { headRepositoryId: null },
    ...["none", "read", "triage"].map((role) => ({ role })),
  ];
  for (const other of changed) {
    for (const isDraft of [false, true]) {
      const why = refuseApply(own, actor, { ...now, ...other }, { isDraft });
      const what = isDraft ? "opened as a draft" : "applied";
      tally.expect(why !== null, () => `a patch is ${what} though ${JSON.stringify(other)}`);
    }
  }
  const onDefault = refuseApply(own, actor, { ...now, headRef: "main" }, { isDraft: false });
  tally.expect(onDefault !== null, "a patch is pushed to the default branch");
  for (const isDraft of [false, true]) {
    const onFork = refuseApply({ ...own, fork: true }, actor, now, { isDraft });
    tally.expect(onFork !== null, "a patch is pushed to a fork");
    const byBot = refuseApply(own, { ...actor, type: "Bot" }, now, { isDraft });
    tally.expect(byBot !== null, "a bot applies a patch");
  }
}

function judge(tally: Tally, changes: readonly Change[], code: string, allowed: readonly string[] = []): void {
  tally.equal(codeOf(changes, allowed), code, JSON.stringify(changes.map(({ path, mode }) => [path, mode])));
}

function codeOf(changes: readonly Change[], allowed: readonly string[] = []): string {
  const check = checkPatch(changes, base, allowed);
  return check.ok ? "ok" : check.code;
}
