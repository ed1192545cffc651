import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { readSources, type Source } from "./support/source-imports.ts";

/** The folders of the service, lowest first. A folder imports from itself and from those below, never from beside or above. */
const levels: readonly (readonly string[])[] = [
  ["host", "store"],
  ["confine", "signer"],
  ["github", "source"],
  ["runs"],
  ["fleet", "broker", "publish"],
  ["intake"],
  ["web", "cli", "process", "app.ts", "main.ts"],
];

/** Types that are known upwards or sideways, each for a reason. */
const knownTypes: readonly { from: string; to: string; reason: string }[] = [
  {
    from: "runs/steps.ts",
    to: "publish/publisher.ts",
    reason: "a step asks for publication through the interface that publish offers; publish asks runs to check again",
  },
];

/** Who reads the environment or ends the process without being a main.ts, each for a reason. */
const knownProcessUses: readonly { file: string; uses: string; reason: string }[] = [
  {
    file: "apps/agent/src/inside/probe.ts",
    uses: "process.env",
    reason: "a program of its own inside the confinement: the names in its environment are what it is there to report",
  },
];

/** Tests that use a fake though they stand beside what they test, each for a reason. */
const knownFakes: readonly { file: string; reason: string }[] = [
  {
    file: "apps/agent/src/agent.vm.test.ts",
    reason: "boots the agent in a machine and needs a model to talk to; nothing that ships imports a test",
  },
];

/** What core may import besides its own files: parsers and schemas, all pure. */
const pureLibraries = /^(?:zod|yaml|unist|mdast|mdast-util-[a-z-]+|micromark|micromark-[a-z-]+)$/;
const impureNames =
  /(?<![.\w$])(?:process|console|fetch|performance|crypto|require|globalThis|(?:set|clear)(?:Timeout|Interval|Immediate)|queueMicrotask|XMLHttpRequest|WebSocket)(?![\w$]|\s*\??:)|(?<![\w$])Date\s*\.\s*now(?![\w$])|(?<![\w$])new\s+Date\s*(?:\(\s*\)|(?![\s\w$(]))|(?<![\w$.])Date\s*\(\s*\)|(?<![\w$])Math\s*\.\s*random(?![\w$])/g;
const processUses = /(?<![.\w$])process\s*\??\.\s*(?:env|exit)(?![\w$])|(?<![.\w$])process\s*(?:\?\.)?\[/g;

/** Everything that breaks a rule, as `rule: file: what`. */
async function violationsIn(root: string): Promise<string[]> {
  const sources = await readSources(root);
  const found = [
    ...sources.flatMap(coreIsPure),
    ...sources.flatMap(appsAreApart),
    ...sources.flatMap(fakesStayInTests),
    ...sources.flatMap(foldersPointDownwards),
    ...sources.flatMap(onlyMainKnowsTheProcess),
  ];
  return found.sort();
}

function coreIsPure({ file, code, imports }: Source): string[] {
  if (!file.startsWith("packages/core/src/") || isTest(file)) {
    return [];
  }
  const wrong = imports
    .map(({ specifier }) => specifier)
    .filter((specifier) => !pureLibraries.test(specifier) && !inside(target(file, specifier), "packages/core/src"));
  const names = [...code.matchAll(impureNames)].map(([name]) => name.replaceAll(/\s+/g, " "));
  return [...wrong, ...names].map((what) => `core is pure: ${file}: ${what}`);
}

function appsAreApart({ file, imports }: Source): string[] {
  const app = /^apps\/([^/]+)\//.exec(file)?.[1];
  return imports
    .filter(({ specifier }) => {
      const other =
        /^apps\/([^/]+)\//.exec(target(file, specifier) ?? "")?.[1] ??
        /^@mayfly\/(agent|orchestrator)(?:\/|$)/.exec(specifier)?.[1];
      return other !== undefined && other !== app && /^(?:apps|packages)\//.test(file);
    })
    .map(({ specifier }) => `apps are apart: ${file}: ${specifier}`);
}

function fakesStayInTests({ file, imports }: Source): string[] {
  return imports
    .filter(({ specifier }) => {
      const isFake = inside(target(file, specifier), "test/fakes") || /^@mayfly\/test\/fakes(?:\/|$)/.test(specifier);
      return isFake && !file.startsWith("test/") && !knownFakes.some((known) => known.file === file);
    })
    .map(({ specifier }) => `fakes stay in tests: ${file}: ${specifier}`);
}

const SERVICE = "apps/orchestrator/src/";

function foldersPointDownwards({ file, imports }: Source): string[] {
  if (!file.startsWith(SERVICE) || isTest(file)) {
    return [];
  }
  const from = file.slice(SERVICE.length);
  const own = from.split("/")[0] ?? "";
  if (levelOf(own) === -1) {
    return [`folders point downwards: ${file}: ${own} has no place among the levels`];
  }
  return imports.flatMap(({ specifier, isTypeOnly }) => {
    const path = target(file, specifier);
    if (path === null || !path.startsWith(SERVICE)) {
      return [];
    }
    const to = path.slice(SERVICE.length);
    const other = to.split("/")[0] ?? "";
    const isKnown = isTypeOnly && knownTypes.some((known) => known.from === from && known.to === to);
    const isAllowed = other === own || levelOf(other) < levelOf(own) || isTop(own) || isKnown;
    return isAllowed && levelOf(other) !== -1 ? [] : [`folders point downwards: ${file}: ${to}`];
  });
}

function onlyMainKnowsTheProcess({ file, code, imports }: Source): string[] {
  if (
    !/^(?:apps|packages)\/[^/]+\/src\/|^infra\/image\/src\//.test(file) ||
    isTest(file) ||
    file.endsWith("/src/main.ts")
  ) {
    return [];
  }
  const named = imports
    .filter(({ specifier }) => /^(?:node:)?process$/.test(specifier))
    .map(() => "import of node:process");
  return [...[...code.matchAll(processUses)].map(([use]) => use.replaceAll(/[\s?]/g, "")), ...named]
    .filter((use) => !knownProcessUses.some((known) => known.file === file && known.uses === use))
    .map((use) => `only main knows the process: ${file}: ${use}`);
}

function levelOf(folder: string): number {
  return levels.findIndex((names) => names.includes(folder));
}

function isTop(folder: string): boolean {
  return levelOf(folder) === levels.length - 1;
}

/** Tests and what they share may look anywhere; `testing` folders hold nothing else. */
function isTest(file: string): boolean {
  return /\.(?:test|fixture)\.ts$|\/testing\//.test(file);
}

/** The file that a relative import means, relative to the root; null for a package. */
function target(file: string, specifier: string): string | null {
  return specifier.startsWith(".") ? relative("/", resolve("/", dirname(file), specifier)) : null;
}

function inside(path: string | null, folder: string): boolean {
  return path !== null && path.startsWith(`${folder}/`);
}

const ROOT = resolve(import.meta.dirname, "..");
const planted: string[] = [];

afterEach(async () => {
  await Promise.all(planted.splice(0).map((root) => rm(root, { recursive: true, force: true })));
});

/** What the same rules say of a tree that holds these files alone. */
async function violationsOf(files: Readonly<Record<string, string>>): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), "mf-"));
  planted.push(root);
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
  return violationsIn(root);
}

describe("the architecture", () => {
  it("is kept by every file", async () => {
    expect(await violationsIn(ROOT)).toEqual([]);
  });

  it("was looked at in full", async () => {
    const files = new Map((await readSources(ROOT)).map((source) => [source.file, source]));
    expect(files.get("packages/core/src/run.ts")?.imports.map(({ specifier }) => specifier)).toContain("./machine.ts");
    expect(files.get("apps/orchestrator/src/runs/steps.ts")?.imports).toContainEqual({
      specifier: "../publish/publisher.ts",
      isTypeOnly: true,
    });
  });

  it("lists no exception that is not needed any more", async () => {
    const sources = await readSources(ROOT);
    const find = (file: string) => sources.find((source) => source.file === file);
    const idleTypes = knownTypes.filter(
      ({ from, to }) =>
        !find(SERVICE + from)?.imports.some(({ specifier }) => target(SERVICE + from, specifier) === SERVICE + to),
    );
    const idleUses = knownProcessUses.filter(({ file, uses }) => !find(file)?.code.includes(uses));
    const idleFakes = knownFakes.filter(
      ({ file }) => !find(file)?.imports.some(({ specifier }) => inside(target(file, specifier), "test/fakes")),
    );
    expect([...idleTypes, ...idleUses, ...idleFakes]).toEqual([]);
  });
});

describe("the rules", () => {
  const core = "packages/core/src/a.ts";
  const service = (path: string) => `apps/orchestrator/src/${path}`;

  it.each<[string, string, string]>([
    ["a builtin", core, `import { readFile } from "node:fs/promises";`],
    ["a builtin without its prefix", core, `import fs from 'fs';`],
    ["a builtin's type", core, `import type { Stats } from "node:fs";`],
    ["a builtin, exported", core, `export * from "node:path";`],
    ["a builtin for its side effects", core, `import "node:test";`],
    ["a builtin, later", core, `const a = await import("node:net");`],
    ["something computed", core, `const a = await import(name);`],
    ["a library with I/O", core, `import { Redis } from "ioredis";`],
    ["a file of an app", core, `import { a } from "../../../apps/agent/src/a.ts";`],
    [
      "an import over several lines",
      core,
      `import {\n  // a comment; with "quotes"\n  type A,\n  b,\n} from "node:os";`,
    ],
    ["the environment", core, `export const a = process.env["A"];`],
    ["the clock", core, `export const a = Date.now();`],
    ["the clock, wrapped", core, `export const a = new Date();`],
    ["the clock in a template", core, "export const a = `${Date.now()}`;"],
    ["randomness", core, `export const a = Math.random();`],
    ["another clock", core, `const a = performance.now();`],
    ["the network", core, `await fetch("https://example.com");`],
    ["a timer", core, `setTimeout(() => undefined, 1);`],
    ["the console", core, `console.log("a");`],
    ["code behind a regular expression with a quote", core, `const a = /["'\`]/; console.log(a);`],
    ["code behind a nested template", core, "const a = `${b ? `{${c}` : '}'} text`; console.log(a);"],
  ])("finds in core: %s", async (_name, file, text) => {
    const found = await violationsOf({ [file]: text });
    expect(found.filter((one) => one.startsWith("core is pure: "))).toHaveLength(1);
  });

  it("finds every builtin in core", async () => {
    const names = builtinModules.filter((name) => !name.startsWith("_"));
    const text = names.map((name) => `import "${name}";\nimport "node:${name}";`).join("\n");
    const found = await violationsOf({ [core]: text });
    expect(found.filter((one) => one.startsWith("core is pure"))).toHaveLength(names.length * 2);
  });

  it("finds nothing wrong where words only look wrong", async () => {
    const text = [
      `import { z } from "zod";`,
      `import { parse } from "yaml";`,
      `import type { Root } from "mdast";`,
      `import { b } from "./b.ts";`,
      `// import "node:fs"; process.exit(1)`,
      `/* fetch(console) */`,
      `const text = "process.env"; const t = \`import "node:fs" \${b.process} console.log\`;`,
      `export const c = { what: b.console, process: 1, at: new Date(b.now), r: /fetch\\("process/ };`,
    ].join("\n");
    expect(await violationsOf({ [core]: text })).toEqual([]);
  });

  it.each([
    [service("host/a.ts"), `import { a } from "../../../agent/src/a.ts";`],
    ["apps/agent/src/a.ts", `import type { A } from "../../orchestrator/src/host/a.ts";`],
    ["apps/agent/src/a.ts", `import { a } from "@mayfly/orchestrator/host";`],
    ["apps/agent/src/a.test.ts", `import { a } from "@mayfly/orchestrator";`],
    ["packages/core/src/a.ts", `import { a } from "@mayfly/agent/bundle";`],
  ])("keep apps apart: %s", async (file, text) => {
    const found = await violationsOf({ [file]: text });
    expect(found.filter((one) => one.startsWith("apps are apart: "))).toHaveLength(1);
  });

  it.each([
    [service("host/a.ts"), `import { a } from "../../../../test/fakes/model/a.ts";`],
    [service("main.ts"), `await import("../../../test/fakes/model/a.ts");`],
    ["packages/core/src/a.test.ts", `import { a } from "../../../test/fakes/github/a.ts";`],
    ["infra/setup/a.mjs", `import { a } from "../../test/fakes/model/a.ts";`],
    ["infra/setup/a.mjs", `import { a } from "@mayfly/test/fakes/model/a.ts";`],
  ])("keep fakes in tests: %s", async (file, text) => {
    const found = await violationsOf({ [file]: text });
    expect(found.filter((one) => one.startsWith("fakes stay in tests: "))).toHaveLength(1);
  });

  it.each([
    ["store/a.ts", `import { a } from "../runs/a.ts";`],
    ["store/a.ts", `import { a } from "../host/a.ts";`],
    ["host/a.ts", `import type { A } from "../store/a.ts";`],
    ["github/a.ts", `import { a } from "../source/a.ts";`],
    ["confine/a.ts", `import { a } from "../source/a.ts";`],
    ["runs/steps.ts", `import { createPublisher } from "../publish/publisher.ts";`],
    ["runs/other.ts", `import type { Publisher } from "../publish/publisher.ts";`],
    ["fleet/a.ts", `import { a } from "../broker/a.ts";`],
    ["broker/a.ts", `export { a } from "../intake/a.ts";`],
    ["intake/a.ts", `import { a } from "../app.ts";`],
    ["fleet/providers/qemu/a.ts", `import { a } from "../../../intake/a.ts";`],
    ["elsewhere/a.ts", `export const a = 1;`],
    ["intake/a.ts", `import { a } from "../elsewhere/a.ts";`],
  ])("let folders point downwards only: %s: %s", async (file, text) => {
    const found = await violationsOf({ [service(file)]: text });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^folders point downwards: /);
  });

  it.each([
    ["runs/steps.ts", `import type { Publisher } from "../publish/publisher.ts";`],
    ["runs/steps.ts", `import { type Publisher } from "../publish/publisher.ts";`],
    ["publish/publisher.ts", `import { a } from "../runs/a.ts";`],
    ["source/a.ts", `import { a } from "../confine/a.ts";`],
    ["fleet/providers/qemu/a.ts", `import { a } from "../../../confine/a.ts"; import { b } from "../../../host/b.ts";`],
    ["cli/a.ts", `import { a } from "../main.ts"; import { b } from "../web/b.ts";`],
  ])("let folders point downwards: %s: %s", async (file, text) => {
    expect(await violationsOf({ [service(file)]: text })).toEqual([]);
  });

  it.each([
    [service("app.ts"), `export const a = process.env["A"];`],
    [service("cli/a.ts"), `process.exit(1);`],
    ["apps/agent/src/a.ts", `const { PATH } = process?.env;`],
    ["apps/agent/src/a.ts", `const a = process["env"];`],
    ["apps/agent/src/a.ts", `import { exit } from "node:process";`],
    ["infra/image/src/a.ts", `process . exit(1);`],
    ["apps/agent/src/inside/probe.ts", `process.exit(1);`],
  ])("leave the process to main: %s: %s", async (file, text) => {
    const found = await violationsOf({ [file]: text });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^only main knows the process: /);
    expect(await violationsOf({ [`${dirname(file).replace(/\/src.*/, "/src")}/main.ts`]: text })).toEqual([]);
  });
});
