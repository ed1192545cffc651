import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import type { BuildOptions, Plugin } from "esbuild";

/** Half of zod is its messages in some sixty languages; nobody in a machine reads them. */
const withoutTranslations: Plugin = {
  name: "without-translations",
  setup(build) {
    build.onResolve({ filter: /\/locales\/index\.js$/ }, () => ({ path: "no-translations", namespace: "agent" }));
    build.onLoad({ filter: /^no-translations$/, namespace: "agent" }, () => ({ contents: "export {};" }));
  },
};

/**
 * Takes Node's own modules without `import`, which would ask each for all it exports: node:http then loads its WebSocket
 * and a whole second HTTP client, a second of a machine's start where it is emulated.
 */
const builtinsByCall: Plugin = {
  name: "builtins-by-call",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: "builtin" }));
    build.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
  },
};

const shared = {
  bundle: true,
  write: false,
  platform: "node",
  target: "node24",
  // A person who meets the agent in a machine can read it.
  minify: false,
  legalComments: "none",
  logLevel: "silent",
  plugins: [withoutTranslations, builtinsByCall],
} as const satisfies BuildOptions;

/** esbuild is one process for all bundles that are being made. */
let underWay = 0;

/**
 * The agent as one ESM file, with the programs it starts inside it. Equal sources give equal bytes: no path or time of
 * this build is in it.
 */
export async function bundleAgent(): Promise<{ code: Uint8Array; sha256: string }> {
  underWay += 1;
  try {
    const [listen, probe, read] = await Promise.all([
      bundleProgram("inside/listen.ts"),
      bundleProgram("inside/probe.ts"),
      bundleProgram("inside/read.ts"),
    ]);
    const programs = { listen, probe, read };
    const define = { MAYFLY_PROGRAMS: JSON.stringify(programs) };
    const code = await bundle("main.ts", { format: "esm", define });
    return { code, sha256: createHash("sha256").update(code).digest("hex") };
  } finally {
    underWay -= 1;
    if (underWay === 0) {
      // Its process stays otherwise: as root beside a service that has dropped root, and writes whatever it is told to.
      await esbuild.stop();
    }
  }
}

/** One of the programs for `node --eval`, which starts faster without the loader for modules. */
async function bundleProgram(entry: string): Promise<string> {
  return new TextDecoder().decode(await bundle(entry, { format: "cjs" }));
}

async function bundle(entry: string, options: BuildOptions): Promise<Uint8Array> {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  // Paths in the output are relative to this folder, so a checkout elsewhere gives the same bytes.
  const built = await esbuild.build({ ...shared, ...options, absWorkingDir: folder, entryPoints: [`./${entry}`] });
  const [output] = built.outputFiles ?? [];
  if (output === undefined) {
    throw new Error(`esbuild made nothing of ${entry}`);
  }
  return output.contents;
}
