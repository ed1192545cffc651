import { readFileSync } from "node:fs";
import { AppError, type Config, type ConfigProblem, type ConfigResult, parseConfig } from "@mayfly/core";
import type { Terminal } from "./terminal.ts";

/** What on the command line says which settings count. */
export interface SettingsFlags {
  readonly config?: string | undefined;
  readonly state?: string | undefined;
  readonly roles?: string | undefined;
}

/**
 * The settings from the file (--config or MAYFLY_CONFIG), the environment over it, and flags over both. Throws
 * CONFIG_INVALID with every problem, its place and what was probably meant.
 */
export function loadSettings(terminal: Terminal, flags: SettingsFlags): Config {
  const parsed = readSettings(terminal, flags);
  if (!parsed.ok) {
    throw new AppError(
      "CONFIG_INVALID",
      `the settings are not valid:\n${parsed.problems.map((problem) => `  ${lineOf(problem)}`).join("\n")}`,
    );
  }
  return parsed.config;
}

/** The same, with the problems as a value. Throws CONFIG_INVALID for a file that cannot be read. */
export function readSettings(terminal: Terminal, flags: SettingsFlags): ConfigResult {
  const name = flags.config ?? terminal.env["MAYFLY_CONFIG"];
  const file = name === undefined || name === "" ? null : { name, text: readSettingsFile(name) };
  const environment = {
    ...terminal.env,
    ...(flags.state === undefined ? {} : { MAYFLY_STATE_DIR: flags.state }),
    ...(flags.roles === undefined ? {} : { MAYFLY_ROLES: flags.roles }),
  };
  return parseConfig({ ...(file === null ? {} : { file }), environment, isRoot: terminal.isRoot });
}

function readSettingsFile(name: string): string {
  try {
    return readFileSync(name, "utf8");
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `the settings file ${name} cannot be read`, { cause });
  }
}

/** A problem in one line: its place, what is wrong, what was probably meant. */
export function lineOf({ place, message, suggestion }: ConfigProblem): string {
  return `${place}: ${message}${suggestion === null ? "" : ` (did you mean ${suggestion}?)`}`;
}
