import { letReadersLeave } from "../support/stdout.ts";
import { bends } from "./bends.ts";
import { readOptions, usage } from "./options.ts";
import { isWell, renderReport } from "./report.ts";
import { runStorm } from "./storm.ts";

/** Between two lines about how far it is, where a person watches. */
const PROGRESS_MS = 2_000;

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const bend = options.bend === null ? null : bends[options.bend];
  const watching = options.log
    ? { onLog: (line: string) => void process.stderr.write(line) }
    : { onProgress: nowAndThen() };
  const stop = new AbortController();
  // Its Redis would live on without it.
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const report = await runStorm({ ...options, bend, signal: stop.signal, ...watching });
  process.stdout.write(renderReport(report));
  if (options.json) {
    process.stdout.write(`${JSON.stringify(report.figures)}\n`);
  }
  return isWell(report) ? 0 : 1;
}

function nowAndThen(): (line: string) => void {
  let shownAt = performance.now();
  return (line) => {
    if (performance.now() > shownAt + PROGRESS_MS) {
      shownAt = performance.now();
      process.stderr.write(`${line}\n`);
    }
  };
}

letReadersLeave();
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`storm: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 2;
}
