import { readFileSync } from "node:fs";
import { access, readdir, readFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { configTable, otherEnvironment } from "@mayfly/core/config-schema";
import { steps } from "@mayfly/core/run";
import { optionNames } from "@mayfly/core/task-options";
import { describe, expect, it } from "vitest";
import { createProgram } from "../../apps/orchestrator/src/cli/program.ts";
import { usage as usageOfAttack } from "../attack/options.ts";
import { rows } from "../attack/registry.ts";
import { usage as usageOfBench } from "../bench/options.ts";
import { usage as usageOfDemo } from "../demo/options.ts";
import { usage as usageOfStorm } from "../storm/options.ts";
import { anchorsOf, codeSpansOf, commandLinesOf, linksOf, section } from "./markdown.ts";
import { generatedFiles } from "./references.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };

/** Documents that are data for tests, not words of ours. */
const notOurs = /(?:^|\/)(?:node_modules|dist|coverage|golden)(?:\/|$)/;

/** Flags of other programs that the documents name. */
const foreignFlags: Readonly<Record<string, string>> = {
  "--color": "codex",
  "--project": "vitest",
  "--silent": "npm",
  "--update": "vitest",
};

/** What each npm script that takes flags says of them. */
const usages: Readonly<Record<string, string>> = {
  attack: usageOfAttack,
  bench: usageOfBench,
  demo: usageOfDemo,
  storm: usageOfStorm,
};

interface Document {
  /** Relative to the root. */
  readonly path: string;
  readonly text: string;
}

const documents: readonly Document[] = await readDocuments();

describe("generated pages", () => {
  it.each(generatedFiles())("$path is as the code says; else run `npm run docs`", async ({ path, text }) => {
    expect(await readFile(join(root, path), "utf8")).toBe(text);
  });
});

describe("links", () => {
  it.each(documents)("in $path lead to files and headings that are there", async (document) => {
    const broken: string[] = [];
    for (const link of linksOf(document.text)) {
      if (!(await isReachable(document, link))) {
        broken.push(link);
      }
    }
    expect(broken).toEqual([]);
  });

  it("that are broken are noticed", async () => {
    const document = { path: "README.md", text: "[a](nowhere.md) [b](#nothing) [c](LICENSE)\n\n[d]: gone.md" };
    const found = linksOf(document.text);
    const reached = await Promise.all(found.map((link) => isReachable(document, link)));
    expect(found.map((link, index) => [link, reached[index]])).toEqual([
      ["nowhere.md", false],
      ["#nothing", false],
      ["LICENSE", true],
      ["gone.md", false],
    ]);
  });
});

describe("files and folders", () => {
  it.each(documents)("that $path names are there", async ({ text }) => {
    const named = codeSpansOf(text).filter((span) => /^(?:apps|packages|infra|test|docs|\.ci)\/[\w./-]*$/.test(span));
    expect(await missing(named)).toEqual([]);
  });

  it("that the code map names are there", async () => {
    const map = section(textOf("ARCHITECTURE.md"), "Code map");
    const parts = map.split(/^### /m).slice(1);
    expect(parts.length).toBeGreaterThan(5);
    const absent: string[] = [];
    for (const part of parts) {
      const [base = "", ...spans] = codeSpansOf(part);
      const named = spans.filter(
        (span) => /^[\w./-]+(?:\.ts|\.mjs|\.json|\/)$/.test(span) || span.startsWith("guest/"),
      );
      absent.push(...(await missing([base])));
      for (const span of named) {
        const places = [base, ""].map((folder) => join(folder, span));
        absent.push(...((await missing(places)).length === places.length ? [`${base}: ${span}`] : []));
      }
    }
    expect(absent).toEqual([]);
  });

  it("that hold tests stand behind every invariant", async () => {
    const paragraphs = section(textOf("ARCHITECTURE.md"), "Invariants").split(/\n\n/);
    for (let number = 1; number <= 11; number++) {
      const paragraph = paragraphs.find((text) => text.startsWith(`**I${number}.`)) ?? "";
      const tests = codeSpansOf(paragraph).filter((span) => span.endsWith(".test.ts"));
      expect(tests, `I${number}`).not.toEqual([]);
    }
  });
});

describe("commands", () => {
  it.each(documents)("of npm that $path names are scripts", ({ text }) => {
    const named = [...text.matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g)].map(([, name]) => name ?? "");
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });

  it.each(documents)("of mayfly that $path names are there, with their flags", async ({ text }) => {
    const wrong: string[] = [];
    for (const line of commandLinesOf(text, "mayfly")) {
      wrong.push(...(await unknownIn(line)));
    }
    expect(wrong).toEqual([]);
  });

  it.each(documents)("of scripts that $path names have the flags they show", ({ text }) => {
    const named = Object.keys(usages).flatMap((script) =>
      [...text.matchAll(new RegExp(`\\bnpm run ${script} -- ([^\\n\`#]+)`, "g"))].flatMap(([, rest = ""]) =>
        rest.split(/\s+/).flatMap((flag) => (flag.startsWith("--") ? [{ script, flag }] : [])),
      ),
    );
    expect(named.filter(({ script, flag }) => !usages[script]?.includes(`  ${flag} `))).toEqual([]);
  });

  it.each(documents)("have every flag that $path names by itself", async ({ text }) => {
    const known = new Set([
      ...(await allFlags()),
      ...Object.keys(foreignFlags),
      ...(Object.values(usages)
        .join("")
        .match(/--\w[\w-]*/g) ?? []),
    ]);
    const named = codeSpansOf(text).filter((span) => /^--\w[\w-]*$/.test(span));
    expect(named.filter((flag) => !known.has(flag))).toEqual([]);
  });

  it("and flags that are unknown are noticed", async () => {
    expect(await unknownIn("run local --prompt x --fast /tmp")).toEqual(["run local: --fast"]);
    expect(await unknownIn("run away")).toEqual(["run away"]);
    expect(await unknownIn("dentist")).toEqual(["dentist"]);
    expect(await unknownIn("serve --config file")).toEqual([]);
  });
});

describe("names from the code", () => {
  it("of task options are exactly those of the reference", () => {
    const table = section(textOf("docs/reference/tasks.md"), "Options").split(/^###/m)[0] ?? "";
    const named = [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name);
    expect(named).toEqual(optionNames);
  });

  it.each(documents)("of settings in $path are settings", ({ text }) => {
    const keys = new Set(configTable.map(({ key }) => key));
    const names = new Set([...configTable.map(({ environment }) => environment), ...Object.keys(otherEnvironment)]);
    const sections = [...keys].flatMap((key) => (key.includes(".") ? [key.slice(0, key.indexOf("."))] : []));
    const isKey = new RegExp(`^(?:${[...new Set(sections)].join("|")})\\.[a-z_.]+$`);
    const isPart = (span: string) => [...keys].some((key) => key.startsWith(`${span}.`));
    const wrongKeys = codeSpansOf(text).filter((span) => isKey.test(span) && !keys.has(span) && !isPart(span));
    const wrongNames = (text.match(/\bMAYFLY_[A-Z0-9_]*[A-Z]\b/g) ?? []).filter((name) => !names.has(name));
    expect([...wrongKeys.filter((span) => !/\.(?:ts|md)$/.test(span)), ...wrongNames]).toEqual([]);
  });

  it("of attacks are all in the threat register, in order", () => {
    const register = section(textOf("SECURITY.md"), "Threat register");
    const named = [...register.matchAll(/^\| (T\d\d) /gm)].map(([, id]) => id);
    expect(named).toEqual(rows.map(({ id }) => id));
  });

  it("of a run's steps are all in the way of a run", () => {
    const spans = codeSpansOf(section(textOf("ARCHITECTURE.md"), "The way of a run"));
    expect(steps.filter((step) => !spans.includes(step))).toEqual([]);
  });
});

/** What is unknown in the words after `mayfly`: a command, or a flag of it. */
async function unknownIn(line: string): Promise<string[]> {
  const words = line.trim().split(/\s+/);
  const command: string[] = [];
  let flags = await flagsOf([]);
  for (const word of words) {
    if (!/^[a-z][a-z0-9-]*$/.test(word) || command.length === 2 || (command.length === 1 && command[0] === "serve")) {
      break;
    }
    const known = await subcommandsOf(command);
    if (!known.includes(word)) {
      return [[...command, word].join(" ")];
    }
    command.push(word);
    flags = await flagsOf(command);
  }
  return words
    .flatMap((word) => /^--[a-z][\w-]*/.exec(word)?.[0] ?? [])
    .filter((flag) => !flags.includes(flag))
    .map((flag) => `${command.join(" ")}: ${flag}`);
}

async function allFlags(): Promise<string[]> {
  const found: string[] = [];
  for (const noun of await subcommandsOf([])) {
    const verbs = await subcommandsOf([noun]);
    for (const command of [[noun], ...verbs.map((verb) => [noun, verb])]) {
      found.push(...(await flagsOf(command)));
    }
  }
  return found;
}

async function flagsOf(command: readonly string[]): Promise<string[]> {
  return (await helpOf(command)).match(/--[a-z][\w-]*/g) ?? [];
}

async function subcommandsOf(command: readonly string[]): Promise<string[]> {
  const listed = (await helpOf(command)).split("\nCommands:\n")[1] ?? "";
  return [...listed.matchAll(/^ {2}([a-z][a-z0-9-]*)/gm)].flatMap(([, name]) =>
    name === undefined || name === "help" ? [] : [name],
  );
}

async function helpOf(command: readonly string[]): Promise<string> {
  let help = "";
  const terminal = {
    env: {},
    stdout: (text: string) => void (help += text),
    stderr: () => undefined,
    isRoot: false,
    isInteractive: false,
    onStop: () => undefined,
    program: "",
    stdin: () => process.stdin,
    tellParent: () => undefined,
    onOrphaned: () => undefined,
  };
  try {
    await createProgram(terminal, [...command, "--help"]);
  } catch (error) {
    // Help ends by throwing, as the command line's way of saying that there is nothing more to do.
    if (!(error instanceof Error && "exitCode" in error && error.exitCode === 0)) {
      throw error;
    }
  }
  return help;
}

async function isReachable({ path, text }: Document, link: string): Promise<boolean> {
  if (/^[a-z]+:/.test(link)) {
    return true;
  }
  const [file = "", anchor] = link.split("#");
  const target = file === "" ? path : relative(root, resolve(root, dirname(path), file));
  if ((await missing([target])).length > 0) {
    return false;
  }
  return anchor === undefined || anchorsOf(file === "" ? text : textOf(target)).includes(anchor);
}

async function missing(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    paths.map((path) =>
      access(join(root, path)).then(
        () => [],
        () => [path],
      ),
    ),
  );
  return found.flat();
}

function textOf(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

async function readDocuments(): Promise<Document[]> {
  const tops = (await readdir(root, { withFileTypes: true })).filter(
    ({ name }) => !/^\.git$|^node_modules$/.test(name),
  );
  const paths = tops.flatMap(({ name }) => (name.endsWith(".md") ? [name] : []));
  for (const { name } of tops.filter((entry) => entry.isDirectory())) {
    const below = await readdir(join(root, name), { recursive: true });
    paths.push(...below.map((path) => join(name, path)).filter((path) => path.endsWith(".md") && !notOurs.test(path)));
  }
  return paths.sort().map((path) => ({ path, text: textOf(path) }));
}
