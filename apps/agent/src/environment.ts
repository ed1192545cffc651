import { places } from "./places.ts";

/** Git for hostile repositories: no hooks, no transports, no helpers, and no configuration but this. */
const gitConfig: readonly (readonly [string, string])[] = [
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  // Larger files are streamed: they must not fill the memory of a small machine.
  ["core.bigFileThreshold", "16m"],
  ["core.attributesFile", "/dev/null"],
  ["core.excludesFile", "/dev/null"],
  ["core.pager", "cat"],
  ["core.editor", "false"],
  ["core.sshCommand", "false"],
  ["core.askPass", "false"],
  ["credential.helper", ""],
  ["protocol.allow", "never"],
  ["submodule.recurse", "false"],
  ["diff.ignoreSubmodules", "all"],
  ["gc.auto", "0"],
  ["maintenance.auto", "false"],
];

/** The whole environment of everything that runs as Codex's user: nothing of the agent's own gets through. */
export function codexEnvironment(): Record<string, string> {
  const environment: Record<string, string> = {
    HOME: places.home,
    CODEX_HOME: places.codexHome,
    TMPDIR: places.temporary,
    PATH: "/usr/local/bin:/usr/bin:/bin",
    LANG: "C.UTF-8",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_CONFIG_COUNT: String(gitConfig.length),
  };
  for (const [index, [key, value]] of gitConfig.entries()) {
    environment[`GIT_CONFIG_KEY_${index}`] = key;
    environment[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  return environment;
}
