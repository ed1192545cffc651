import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const sweeperSource = join(ROOT, "infra/cdk/sweeper");

/** The service's own sweep as one file that a person can read, without the SDK: Lambda's runtime brings that. */
export function bundleSweeper(folder: string): boolean {
  buildSync({
    absWorkingDir: ROOT,
    entryPoints: [join(sweeperSource, "index.ts")],
    outfile: join(folder, "index.js"),
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    external: ["@aws-sdk/*"],
    alias: { "@mayfly/core": join(sweeperSource, "core.ts") },
    legalComments: "none",
    logLevel: "silent",
  });
  return true;
}
