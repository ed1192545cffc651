import { spawn } from "node:child_process";
import { link, mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AttackContext, Row, Verdict } from "../row.ts";
import { createTally } from "../tally.ts";

const child = fileURLToPath(new URL("../source-child.ts", import.meta.url));
const reader = fileURLToPath(new URL("../../../apps/agent/src/inside/read.ts", import.meta.url));
/** Some forty repositories, each fetched by a confined git. */
const CHILD_MS = 10 * 60_000;
const READ_MS = 20_000;
const BYTES_MAX = 1_000;

export const gitAsProgram: Row = {
  id: "T10",
  attack:
    "The repository brings hooks, filters, submodules, attributes, an embedded repository and names like options.",
  needs: "nothing",
  control: "the same trap springs in a git that nobody has hardened",
  run: (context) => inChild(context, "git"),
};

export const waysOutOfTheFolder: Row = {
  id: "T11",
  attack:
    "Links, second names, devices and names that mean another folder lead out of the source or out of what comes back.",
  needs: "nothing",
  control: "a plain file beside them is taken, in the source and in what comes back",
  async run(context) {
    const tally = createTally();
    await outputs(context, tally);
    const source = await inChild(context, "names");
    const own = tally.verdict("no name and no link led anywhere");
    return own.held === false
      ? own
      : { ...source, why: source.held === true ? own.why : source.why, cases: own.cases + source.cases };
  },
};

async function inChild(context: AttackContext, kind: "git" | "names"): Promise<Verdict> {
  const args = [child, kind, String(context.seed), String(context.cases(150, 4))];
  const { text, code } = await run(context, args, CHILD_MS);
  const last = text.trimEnd().split("\n").at(-1) ?? "";
  if (code !== 0 || !last.startsWith("{")) {
    throw new Error(`the sources ended with code ${code}: ${text.slice(-600)}`);
  }
  const verdict = JSON.parse(last) as Verdict;
  return { ...verdict, why: verdict.held === true ? "nothing of it ran, and no shell was started" : verdict.why };
}

/** What hostile code leaves in the place where its answer is looked for. */
async function outputs(context: AttackContext, tally: ReturnType<typeof createTally>): Promise<void> {
  const folder = await context.folder();
  const at = (name: string) => join(folder, name);
  await writeFile(at("plain"), "an answer");
  await writeFile(at("target"), "a secret");
  await writeFile(at("alone"), "another secret");
  await symlink(at("alone"), at("link"));
  await symlink("/dev/zero", at("endless"));
  await symlink(at("missing"), at("dangling"));
  await link(at("target"), at("second"));
  await mkdir(at("folder"));
  await writeFile(at("huge"), "");
  await truncate(at("huge"), 10 ** 9);
  await writeFile(at("bytes"), Buffer.from([0xff, 0xfe, 0x00]));
  tally.control((await read(context, at("plain"))).text === "an answer", "a plain file is not taken");
  for (const name of [
    "link",
    "endless",
    "dangling",
    "second",
    "target",
    "folder",
    "huge",
    "bytes",
    "missing",
    "plain/below",
  ]) {
    const found = await read(context, at(name));
    tally.expect(found.state === "withheld", () => `${name} is taken: ${JSON.stringify(found).slice(0, 100)}`);
  }
  for (const path of ["/dev/zero", "/dev/null", "/proc/self/mem", "/etc"]) {
    const found = await read(context, path);
    tally.expect(found.state === "withheld", () => `${path} is taken: ${JSON.stringify(found).slice(0, 100)}`);
  }
}

async function read(context: AttackContext, path: string): Promise<{ state: string; text?: string }> {
  const { text } = await run(context, ["--", reader, path, String(BYTES_MAX)], READ_MS);
  return JSON.parse(text) as { state: string; text?: string };
}

async function run(context: AttackContext, args: string[], ms: number): Promise<{ text: string; code: number | null }> {
  const started = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const stop = () => void started.kill("SIGTERM");
  const late = setTimeout(stop, ms);
  context.signal.addEventListener("abort", stop, { once: true });
  let text = "";
  let said = "";
  started.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  started.stderr.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    started.once("error", reject);
    started.once("close", resolve);
  });
  clearTimeout(late);
  context.signal.removeEventListener("abort", stop);
  return { text: code === 0 ? text : text + said, code };
}
