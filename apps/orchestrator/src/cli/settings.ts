import { readFileSync } from "node:fs";
import { AppError, type Config, type ConfigProblem, parseConfig } from "@mayfly/core";
import type { Terminal } from "./terminal.ts";

/**
 * The settings from the file (--config or MAYFLY_CONFIG), the environment over it, and flags over both. Throws
 * CONFIG_INVALID with every problem, its place and what was probably meant.
 */
export function loadSettings(
  terminal: Terminal,
  flags: { config?: string | undefined; state?: string | undefined; roles?: string | undefined },
): Config {
  const name = flags.config ?? terminal.env["MAYFLY_CONFIG"];
  const file = name === undefined || name === "" ? null : { name, text: readSettingsFile(name) };
  const environment = {
    ...terminal.env,
    ...(flags.state === undefined ? {} : { MAYFLY_STATE_DIR: flags.state }),
    ...(flags.roles === undefined ? {} : { MAYFLY_ROLES: flags.roles }),
  };
  const parsed = parseConfig({ ...(file === null ? {} : { file }), environment, isRoot: terminal.isRoot });
  if (!parsed.ok) {
    throw new AppError("CONFIG_INVALID", `the settings are not valid:\n${parsed.problems.map(lineOf).join("\n")}`);
  }
  return parsed.config;
}

function readSettingsFile(name: string): string {
  try {
    return readFileSync(name, "utf8");
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `the settings file ${name} cannot be read`, { cause });
  }
}

function lineOf({ place, message, suggestion }: ConfigProblem): string {
  return `  ${place}: ${message}${suggestion === null ? "" : ` (did you mean ${suggestion}?)`}`;
}
