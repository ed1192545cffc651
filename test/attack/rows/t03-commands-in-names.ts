import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join, posix, relative } from "node:path";
import { parseTaskFile, taskPath } from "@mayfly/core";
import { Octokit } from "@octokit/core";
import { ensureLabelRemoved } from "../../../apps/orchestrator/src/publish/label.ts";
import { endedRun, endings } from "../../../packages/core/src/render/run.fixture.ts";
import { hostileName } from "../corpus/hostile-names.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const root = new URL("../../..", import.meta.url).pathname;

export const commandsInNames: Row = {
  id: "T03",
  attack: "Commands, options and ways out stand in titles, labels, branch names, paths and arguments.",
  needs: "nothing",
  unit: "names",
  control: "a planted call of a shell is found, and names that mean no harm are taken",
  async run(context) {
    const tally = createTally();
    await noShell(tally);
    labels(context, tally);
    folders(context, tally);
    codexArgs(context, tally);
    await requestPaths(context, tally);
    return tally.verdict("no shell is called, and no name became an option, a path or another request");
  },
};

/** Who names a shell: each runs a script of its own that is constant, and words reach it as arguments if at all. */
const constantShells: readonly string[] = [
  "apps/agent/src/confinement.ts",
  // The task's own commands, from the default branch: a shell as Codex's user is what they are for.
  "apps/agent/src/setup.ts",
  "apps/agent/src/watchdog.ts",
  "apps/orchestrator/src/confine/confine.ts",
  "apps/orchestrator/src/fleet/providers/qemu/machine-command.ts",
  "apps/orchestrator/src/store/state-lock.ts",
];
const SHELL_CALL =
  /\bshell\s*:|["'`](?:\/bin\/|\/usr\/bin\/)?(?:ba|da|z)?sh["'`]|\{[^}]*\b(?:exec|execSync)\b[^}]*\}\s*from\s*["'](?:node:)?child_process/;

async function noShell(tally: Tally): Promise<void> {
  for (const call of [
    `import { exec } from "node:child_process";`,
    `spawn("ls", [title], { shell: true });`,
    `spawn("/bin/sh", ["-c", title]);`,
    `spawn('bash', ["-c", title]);`,
  ]) {
    tally.control(SHELL_CALL.test(call), `${call} is not seen`);
  }
  for (const top of ["packages", "apps"]) {
    const entries = await readdir(join(root, top), { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      const file = relative(root, join(entry.parentPath, entry.name));
      const ships =
        entry.isFile() && /\.(?:ts|mjs)$/.test(file) && !/node_modules|\.(?:test|fixture)\.ts$|\/testing\//.test(file);
      if (ships) {
        const text = await readFile(join(root, file), "utf8");
        tally.expect(!SHELL_CALL.test(text) || constantShells.includes(file), () => `${file} calls a shell`);
      }
    }
  }
}

/** A label becomes a file's name, and nothing that leads elsewhere. */
function labels(context: AttackContext, tally: Tally): void {
  const random = context.random("labels");
  const plain = taskPath("codex-review");
  tally.control(plain.ok && plain.path === ".github/codex/labels/codex-review.md", "a plain label has no file");
  for (let left = context.cases(100_000, 5_000); left > 0 && !tally.isBroken; left--) {
    const label = hostileName(random);
    const named = taskPath(label);
    const isHeld =
      !named.ok ||
      (posix.normalize(named.path) === named.path &&
        posix.dirname(named.path) === ".github/codex/labels" &&
        // oxlint-disable-next-line no-control-regex -- controls are what this looks for
        !/[\0-\x1f\x7f-\x9f\\\u200b-\u200f\u202a-\u202e\u2028\u2029]/.test(named.path));
    tally.expect(
      isHeld,
      () => `the label ${JSON.stringify(label)} has the file ${named.ok ? JSON.stringify(named.path) : ""}`,
    );
  }
}

/** A task's working directory stays in the repository's files. */
function folders(context: AttackContext, tally: Tally): void {
  const random = context.random("folders");
  tally.control(folderOf("docs/guides") === "docs/guides", "a plain folder is not taken");
  for (let left = context.cases(100_000, 3_000); left > 0 && !tally.isBroken; left--) {
    const name = hostileName(random);
    const folder = folderOf(name);
    const resolved = posix.resolve("/repository", folder ?? ".");
    const isHeld =
      resolved === "/repository" || (resolved.startsWith("/repository/") && !/\/\.git(?:\/|$)/i.test(resolved));
    tally.expect(isHeld, () => `working-directory ${JSON.stringify(name)} is ${resolved}`);
  }
}

function folderOf(name: string): string | null {
  const file = parseTaskFile(`---\nworking-directory: ${JSON.stringify(name)}\n---\nReview this.\n`);
  return file.ok ? (file.options.workingDirectory ?? null) : null;
}

const ARGUMENT =
  /^--color (?:always|never|auto)$|^--config (?:model_verbosity|model_reasoning_summary|hide_agent_reasoning|show_raw_agent_reasoning|tool_output_token_limit|model_context_window|model_auto_compact_token_limit)=[a-z0-9]{1,12}$/;
const goodArguments = [
  ["--color", "always"],
  ["-c", "model_verbosity=low"],
  ["--config", "model_context_window=2000"],
];
const argumentPieces = [
  "--color",
  "always",
  "-c",
  "--config",
  "=",
  "model_verbosity=low",
  "model_context_window=2000",
  "model_verbosity=low;x",
  "sandbox_mode=danger-full-access",
  "mcp_servers.x.command=sh",
  "--dangerously-bypass-approvals-and-sandbox",
  "--yolo",
  "--add-dir",
  "-C",
  "/",
  "--",
  'notify=["sh"]',
  "model_verbosity='low'",
  'model_verbosity="low\\u0022"',
  "--color=never",
  "--color=x",
  "__proto__=low",
  "constructor=low",
];

/** What a task file may tell Codex is a closed list, and what is told is written anew. */
function codexArgs(context: AttackContext, tally: Tally): void {
  const random = context.random("arguments");
  let taken = 0;
  for (let left = context.cases(100_000, 3_000); left > 0 && !tally.isBroken; left--) {
    const words = Array.from({ length: 1 + random.int(3) }, () =>
      random.once(2) ? random.pick(goodArguments) : [random.soup(argumentPieces, 1, 2)],
    ).flat();
    const value = random.once(2) ? JSON.stringify(words) : JSON.stringify(words.join(random.pick([" ", "\t", "' '"])));
    const file = parseTaskFile(`---\ncodex-args: ${value}\n---\nReview this.\n`);
    const args = file.ok ? (file.options.codexArgs ?? []) : [];
    taken += args.length;
    const pairs = args.flatMap((arg, index) => (index % 2 === 0 ? [`${arg} ${args[index + 1]}`] : []));
    const strange = pairs.find((pair) => !ARGUMENT.test(pair));
    tally.expect(strange === undefined, () => `codex-args ${value} tells Codex ${strange}`);
  }
  tally.control(taken > 0, "no argument at all is taken");
}

/** What a name becomes in a request to GitHub, as the server reads it. */
async function requestPaths(context: AttackContext, tally: Tally): Promise<void> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.writeHead(404, { "content-type": "application/json" }).end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = context.atEnd(async () => void server.close());
  const client = new Octokit({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const { origin } = endedRun(endings.succeeded).request;
  if (origin.kind !== "pull_request") {
    throw new Error("the fixture is a pull request's run");
  }
  const random = context.random("requests");
  for (let left = context.cases(2_000, 150); left > 0 && !tally.isBroken; left--) {
    const label = `codex-${hostileName(random)}`;
    seen.length = 0;
    await ensureLabelRemoved(client, { ...origin, label });
    const wanted = `DELETE /repos/acme/app/issues/3/labels/${encodeURIComponent(label)}`;
    const isExact =
      seen.length === 1 && decoded(seen[0]) === decoded(wanted) && (seen[0] ?? "").split("/").length === 8;
    tally.expect(isExact, () => `the label ${JSON.stringify(label)} asks GitHub for ${JSON.stringify(seen)}`);
  }
  await close();
}

function decoded(url = ""): string | null {
  try {
    return decodeURIComponent(url);
  } catch {
    return null;
  }
}
