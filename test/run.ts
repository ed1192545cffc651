import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { runChecks } from "./check.ts";

/**
 * `npm test`: the checks, then every test. Ends with the line `N passed, N failed` alone, which counts tests and the
 * checks as one more. Arguments go to vitest, to run a part: `npm test -- packages/core`.
 */
const root = fileURLToPath(new URL("..", import.meta.url));

const Report = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  numFailedTestSuites: z.number(),
  success: z.boolean(),
});

async function main(args: readonly string[]): Promise<number> {
  const checked = args.length > 0 || (await runChecks());
  const folder = await mkdtemp(`${tmpdir()}/mayfly-test-`);
  try {
    const report = await runVitest(args, `${folder}/report.json`);
    const passed = (report?.numPassedTests ?? 0) + (checked ? 1 : 0);
    // A suite that fails to load has no failed test in it, but it has failed.
    const failedTests = report === null ? 1 : Math.max(report.numFailedTests, report.success ? 0 : 1);
    const failed = failedTests + (checked ? 0 : 1);
    const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0);
    process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
    return failed === 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runVitest(args: readonly string[], file: string): Promise<z.infer<typeof Report> | null> {
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
}

process.exitCode = await main(process.argv.slice(2));
