// The way in: `npm run demo|test|check|mayfly` start here, on whatever Node (20 or newer) the person has.
// It installs what is missing, then hands over to Node 24 from node_modules. Plain JavaScript without dependencies,
// since nothing is installed yet.
import { spawnSync } from "node:child_process";
import { ensureDebianPackages, ensureNodeModules, nodeBinary, root } from "./install.mjs";

const commands = {
  demo: "test/demo/main.ts",
  test: "test/run.ts",
  check: "test/check.ts",
  bench: "test/bench/main.ts",
  mayfly: "apps/orchestrator/src/main.ts",
};

const [command, ...rest] = process.argv.slice(2);
const script = commands[command];
if (script === undefined) {
  console.error(`unknown command ${JSON.stringify(command)}; one of: ${Object.keys(commands).join(", ")}`);
  process.exit(2);
}

try {
  ensureNodeModules();
  if (command !== "check") {
    ensureDebianPackages();
    if (process.getuid() === 0) {
      const { ensureMayflyUser } = await import("./mayfly-user.mjs");
      ensureMayflyUser();
    }
  }
} catch (error) {
  console.error(`mayfly: ${error.message}`);
  process.exit(1);
}

const ended = spawnSync(nodeBinary(), [`${root}/${script}`, ...rest], { stdio: "inherit" });
process.exit(ended.status ?? 1);
