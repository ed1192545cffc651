import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { runChecks } from "./check.ts";
import { findLeftovers, newSince } from "./support/leftovers.ts";

/**
 * `npm test`: the checks, every test, and a look at what they left on the host. Ends with the line `N passed, N failed`
 * alone, which counts tests, and the checks and that look as one more each. Arguments go to vitest, to run a part:
 * `npm test -- packages/core`.
 */
const root = fileURLToPath(new URL("..", import.meta.url));

const Report = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  success: z.boolean(),
});
type Report = z.infer<typeof Report>;

async function main(args: readonly string[]): Promise<number> {
  const before = await findLeftovers();
  const isWhole = args.length === 0;
  const isSound = !isWhole || (await runChecks());
  const report = await runVitest(args);
  const left = newSince(before, await findLeftovers());
  for (const one of left) {
    process.stderr.write(`left behind: ${one}\n`);
  }
  const extra = isWhole ? [isSound, left.length === 0] : [left.length === 0];
  // A file that does not load has no failed test in it, and has failed all the same.
  const failedTests = report === null ? 1 : Math.max(report.numFailedTests, report.success ? 0 : 1);
  const passed = (report?.numPassedTests ?? 0) + extra.filter((ok) => ok).length;
  const failed = failedTests + extra.filter((ok) => !ok).length;
  const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0);
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
  return failed === 0 ? 0 : 1;
}

/** Null if vitest ended without a report. */
async function runVitest(args: readonly string[]): Promise<Report | null> {
  const folder = await mkdtemp(`${tmpdir()}/mayfly-report-`);
  try {
    const file = `${folder}/report.json`;
    const child = spawn(
      `${root}/node_modules/.bin/vitest`,
      ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`, ...args],
      {
        cwd: root,
        stdio: ["ignore", "inherit", "inherit"],
        env: { ...process.env, PATH: `${root}/node_modules/.bin:${process.env["PATH"] ?? ""}` },
      },
    );
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", () => resolve());
    });
    const text = await readFile(file, "utf8").catch(() => null);
    return text === null ? null : Report.parse(JSON.parse(text));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
