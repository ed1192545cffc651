import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Formatting, lint, types and dead code, by turbo: each is skipped when nothing it reads has changed. */
const TASKS = ["//#format", "//#lint", "//#types", "//#unused"];

const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs the checks; resolves to true when all of them pass. Their words go to standard error and output as they come. */
export async function runChecks(): Promise<boolean> {
  const child = spawn(
    `${root}/node_modules/.bin/turbo`,
    ["run", ...TASKS, "--ui=stream", "--output-logs=errors-only", "--continue"],
    {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: {
        ...process.env,
        PATH: `${root}/node_modules/.bin:${process.env["PATH"] ?? ""}`,
        TURBO_TELEMETRY_DISABLED: "1",
      },
    },
  );
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code === 0));
  });
}

if (import.meta.main) {
  process.exitCode = (await runChecks()) ? 0 : 1;
}
