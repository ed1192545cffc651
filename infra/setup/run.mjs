// The way in: `npm run demo|test|check|attack|bench|storm|screens|mayfly` start here, on whatever Node (20 or newer) the person has.
// It installs what is missing, then hands over to Node 24 from node_modules. Plain JavaScript without dependencies,
// since nothing is installed yet.
import { spawn } from "node:child_process";
import { ensureDebianPackages, ensureNodeModules, nodeBinary, root } from "./install.mjs";

const commands = {
  demo: "test/demo/main.ts",
  test: "test/run.ts",
  check: "test/check.ts",
  attack: "test/attack/main.ts",
  bench: "test/bench/main.ts",
  storm: "test/storm/main.ts",
  screens: "test/screens/main.ts",
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
    ensureDebianPackages({ alsoFor: command });
    if (process.getuid() === 0) {
      const { ensureMayflyUser } = await import("./mayfly-user.mjs");
      ensureMayflyUser();
    }
  }
} catch (error) {
  console.error(`mayfly: ${error.message}`);
  process.exit(1);
}

// npm starts scripts in the clone; the person's own folder is what their paths are relative to.
const cwd = process.env.INIT_CWD ?? process.cwd();
const child = spawn(nodeBinary(), [`${root}/${script}`, ...rest], { stdio: "inherit", cwd });
// Ctrl-C reaches the whole group by itself; what was started tidies up first, and this waits for it.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.once("exit", (code) => process.exit(code ?? 1));
