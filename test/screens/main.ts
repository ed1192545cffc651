import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { openGitHubAlone } from "../attack/github-bench.ts";
import { pageOf, WIDTH } from "./page.ts";
import { playScenes } from "./scenes.ts";

/**
 * `npm run screens`: pictures of what Mayfly puts on a pull request, for docs/images. What they show was written by the
 * real publisher; the browser is Chromium. Argument: another folder.
 */
const OUT = fileURLToPath(new URL("../../docs/images", import.meta.url));
const CHROMIUM = "/usr/bin/chromium";
/** A page of text on a busy host. */
const BROWSER_MS = 60_000;
const HEIGHT_MAX = 4_000;

async function main(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { bench, close } = await openGitHubAlone();
  const scratch = await mkdtemp(join(tmpdir(), "mayfly-screens-"));
  try {
    for (const { name, parts } of await playScenes(bench)) {
      const page = join(scratch, `${name}.html`);
      await writeFile(page, pageOf(parts));
      const height = await heightOf(page, scratch);
      const file = join(folder, `${name}.png`);
      await browse(scratch, [`--screenshot=${file}`, `--window-size=${WIDTH},${height}`, pathToFileURL(page).href]);
      process.stdout.write(`${file}: ${WIDTH} x ${height}\n`);
    }
  } finally {
    await close();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** As the browser lays it out; it says so in the document, which it is asked to print. */
async function heightOf(page: string, scratch: string): Promise<number> {
  const asked = `${page}.measured.html`;
  const script = "<script>document.body.dataset.height = document.documentElement.scrollHeight</script>";
  await writeFile(asked, `${await readFile(page, "utf8")}${script}`);
  const dom = await browse(scratch, [`--window-size=${WIDTH},100`, "--dump-dom", pathToFileURL(asked).href]);
  const height = Number(/data-height="(\d+)"/.exec(dom)?.[1]);
  if (!Number.isInteger(height)) {
    throw new Error("the browser did not say how high the page is");
  }
  return Math.min(height, HEIGHT_MAX);
}

async function browse(scratch: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    CHROMIUM,
    [
      "--headless",
      // Root, and nothing but pages of our own.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--hide-scrollbars",
      `--user-data-dir=${scratch}/profile`,
      ...args,
    ],
    { timeout: BROWSER_MS },
  );
  return stdout;
}

const [folder = OUT] = process.argv.slice(2);
await main(folder);
