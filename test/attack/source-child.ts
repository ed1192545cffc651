/**
 * Hostile repositories, fetched and packed by the real sources, and hostile folders, taken as they are. A program of its
 * own, since it becomes the service's user for good. Prints what went wrong as one JSON document.
 */
import { subscribe } from "node:diagnostics_channel";
import type { ChildProcess } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { isAppError } from "@mayfly/core";
import { snapshotFolder } from "../../apps/orchestrator/src/source/local-folder.ts";
import { addCommit, addRawCommit, git, unpack } from "../../apps/orchestrator/src/source/testing/repository.ts";
import { createSourceWorld, runOn, type SourceWorld } from "../../apps/orchestrator/src/source/testing/source-world.ts";
import { createRandom } from "./corpus/random.ts";
import { hostileName } from "./corpus/hostile-names.ts";
import { hostileTrees, type Shape } from "./corpus/hostile-trees.ts";
import { createTally } from "./tally.ts";

const [kind = "git", seed = "1", names = "10"] = process.argv.slice(2);
/** Everything that was started, so that nobody's words are among its arguments. */
const children: ChildProcess[] = [];
subscribe("child_process", (message) => {
  children.push((message as { process: ChildProcess }).process);
});

const world = await createSourceWorld();
const tally = createTally();
try {
  const base = await addCommit(world.repository, { "a.txt": "a" });
  if (kind === "git") {
    await control(world);
    for (const shape of hostileTrees(`touch ${world.folder}/sentinel`)) {
      await oneShape(world, base, shape);
    }
    const started = children.map(({ spawnargs }) => spawnargs);
    const shells = started.filter(([program = ""]) => /(?:^|\/)(?:ba|da)?sh$/.test(program));
    tally.equal(shells, [], "shells that were started");
    tally.expect(
      !started.some((args) => args.some((arg) => arg.includes("sentinel") && !arg.includes("refs/heads/--"))),
      "a word of the repository is in a command line",
    );
  } else {
    await nameless(world, base);
    await folders(world);
  }
} finally {
  await world.close();
}
process.stdout.write(`${JSON.stringify(tally.verdict("held"))}\n`);

/** The trap does spring where nobody takes care. */
async function control({ folder }: SourceWorld): Promise<void> {
  const careless = join(folder, "careless");
  await mkdir(careless);
  await git(careless, ["init", "--quiet", "--template="]);
  await git(careless, ["config", "core.fsmonitor", `touch ${careless}/sprung; false`]);
  await git(careless, ["status"]).catch(() => "");
  tally.control((await readdir(careless)).includes("sprung"), "the trap does not spring");
}

async function oneShape(here: SourceWorld, base: string, shape: Shape): Promise<void> {
  const head = await shape.commit(here.repository, base);
  const taken = await take(here, base, head);
  tally.expect(shape.fate.includes(taken), () => `${shape.what} was taken as: ${taken}`);
  const sprung = (await readdir(here.folder, { recursive: true })).filter((name) => basename(name) === "sentinel");
  tally.expect(sprung.length === 0, () => `${shape.what} ran something`);
}

/** Who would not have it: our fetch, the git in the machine, or nobody. */
async function take(here: SourceWorld, base: string, head: string): Promise<"refused" | "stuck" | "inert"> {
  const pull = { head, base, mergeBase: base, commits: [head] };
  const server = await here.serve();
  try {
    await here.deliver(here.sources(server.url, pull), runOn(pull));
    return "inert";
  } catch (error) {
    if (isAppError(error, "SOURCE_UNAVAILABLE")) {
      return "refused";
    }
    if (String(error).startsWith("Error: git ")) {
      return "stuck";
    }
    throw error;
  }
}

/** Trees whose names lead elsewhere on some system: none may come out as a file beside the repository. */
async function nameless(here: SourceWorld, base: string): Promise<void> {
  const random = createRandom(Number(seed), "tree names");
  const fixed = [
    ".git",
    ".GIT",
    ".giT",
    "git~1",
    ".g\u200cit",
    ".git\u200d",
    "..",
    ".",
    "",
    "a/../../b",
    "/etc/x",
    ".git/hooks/x",
    ".gitmodules",
  ];
  const blob = await git(here.repository, ["hash-object", "-w", "--stdin"], "/etc/passwd");
  const outside = new Set(await readdir(here.folder));
  for (const name of [
    ...fixed,
    ...Array.from({ length: Number(names) }, () => hostileName(random).replaceAll("\0", "")),
  ]) {
    const mode = random.pick(["120000", "100644", "100755", "040000", "160000"]);
    const head = await addRawCommit(here.repository, [{ mode, name, id: blob }], base);
    const fate = await take(here, base, head);
    const isDangerous = fixed.includes(name) && (name !== ".gitmodules" || mode === "120000");
    tally.expect(!isDangerous || fate !== "inert", () => `a tree with ${mode} ${JSON.stringify(name)} was taken`);
    const strange = (await readdir(here.folder)).filter(
      (one) => !outside.has(one) && !one.startsWith("machine-") && !one.startsWith("state"),
    );
    tally.equal(strange, [], `files beside the repository after ${JSON.stringify(name)}`);
  }
}

/** A person's folder with links that lead out of it: what goes along is the link, and never what is behind it. */
async function folders(here: SourceWorld): Promise<void> {
  const secret = "a-file-of-the-person-outside-of-the-folder";
  await writeFile(join(here.folder, "outside.txt"), secret);
  const folder = join(here.folder, "project");
  await mkdir(join(folder, "deep"), { recursive: true });
  await writeFile(join(folder, "plain.txt"), "plain");
  await symlink("../outside.txt", join(folder, "link"));
  await symlink("/etc/passwd", join(folder, "absolute"));
  await symlink("../..", join(folder, "deep", "up"));
  await symlink("self", join(folder, "self"));
  const packFile = join(here.folder, "project.pack");
  const taken = await snapshotFolder({ path: folder, packFile });
  const machine = join(here.folder, "machine-folder");
  await unpack(machine, await readFile(packFile), taken.layout);
  const listed = await git(machine, ["ls-files", "--stage"]);
  tally.control(listed.includes("plain.txt"), "the folder's own file is not there");
  for (const name of ["link", "absolute", "deep/up", "self"]) {
    tally.expect(new RegExp(`^120000 .*\t${name}$`, "m").test(listed), () => `${name} is no link any more: ${listed}`);
  }
  const text = await git(machine, ["grep", "--cached", "-c", secret]).catch(() => "none");
  tally.equal(text, "none", "what lies behind a link is in the pack");
}
