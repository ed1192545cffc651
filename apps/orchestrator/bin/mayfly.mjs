#!/usr/bin/env node
// `npx mayfly`: runs the command line on the Node 24 that the lock file brings, whatever Node started this.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const setup = fileURLToPath(new URL("../../../infra/setup/run.mjs", import.meta.url));
const ended = spawnSync(process.execPath, [setup, "mayfly", ...process.argv.slice(2)], { stdio: "inherit" });
process.exit(ended.status ?? 1);
