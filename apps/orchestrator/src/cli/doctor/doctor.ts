import { type Config, toTerminal } from "@mayfly/core";
import { type Accounts, readAccounts } from "../../host/account.ts";
import { lineOf, readSettings, type SettingsFlags } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { type Check, type Checklist, createChecklist, fail, ok } from "./checklist.ts";
import { lookAtGitHub } from "./github-checks.ts";
import { lookAtFolders, lookAtNode } from "./host-checks.ts";
import { lookAtQemu } from "./machine-checks.ts";
import { lookAtModel } from "./model-checks.ts";
import { lookAtRedis } from "./redis-checks.ts";

export interface DoctorFlags extends SettingsFlags {
  readonly json?: boolean;
}

/** Beside 0 (all is well, or warnings only) and 2 (it could not be asked). */
const A_CHECK_FAILED = 3;
/** In its order; what is below it needs the settings. */
const AREAS = ["users", "state folder", "redis", "github", "machines", "model"];
const WIDTH = "skipped".length;
const OF_AWS = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] as const;

/**
 * `mayfly doctor`: says what is wrong with this host as the service's settings have it, and the fix. It changes nothing
 * but one small key in Redis, which it removes; it may be asked while a service is at work here. Throws CONFIG_INVALID for
 * a settings file that cannot be read.
 *
 * @returns 0 where no check failed, else 3.
 */
export async function doctor(terminal: Terminal, flags: DoctorFlags): Promise<number> {
  const parsed = readSettings(terminal, flags);
  const checks: Check[] = [];
  const list = createChecklist((check) => {
    checks.push(check);
    if (flags.json !== true) {
      terminal.stdout(linesOf(check));
    }
  });
  OF_AWS.forEach((name) => list.hide(terminal.env[name] ?? ""));
  await lookAtNode(list);
  await list.check("settings", "docs/reference/configuration.md", () => {
    const [first, ...more] = parsed.ok ? [] : parsed.problems.map(lineOf);
    return first === undefined
      ? ok(parsed.ok ? `valid, for the roles ${parsed.config.roles.join(", ")}` : "valid")
      : fail(`${1 + more.length} are not valid`, `correct ${first}`, ...more.map((line) => `correct ${line}`));
  });
  if (parsed.ok) {
    await lookAtAll(list, terminal, parsed.config);
  } else {
    list.skip(AREAS, "the settings are not valid");
  }
  return finish(terminal, flags, checks);
}

async function lookAtAll(list: Checklist, terminal: Terminal, config: Config): Promise<void> {
  let accounts = null as Accounts | null;
  if (terminal.isRoot) {
    const users = await list.check("users", "npm run demo makes them", () => {
      accounts = readAccounts();
      return ok("there are the users that root's processes become");
    });
    if (users.status === "fail") {
      list.skip(["state folder", "folders of the processes"], "the users that they belong to are not there");
    }
  } else {
    list.skip(["users"], "not started by root: all is done as this user");
  }
  if (!terminal.isRoot || accounts !== null) {
    await lookAtFolders(list, config, accounts);
  }
  await lookAtRedis(list, config);
  await lookAtGitHub(list, config);
  await lookAtMachines(list, terminal, config, accounts);
  await lookAtModel(list, config);
}

async function lookAtMachines(
  list: Checklist,
  terminal: Terminal,
  config: Config,
  accounts: Accounts | null,
): Promise<void> {
  const { roles, fleet } = config;
  if (!roles.includes("worker")) {
    list.skip(["machines"], "this host has not the role worker");
  } else if (fleet.provider === "qemu") {
    await lookAtQemu(list, terminal, config, accounts);
  } else if (fleet.ec2 !== null) {
    // Only here: it brings the AWS SDK.
    const { lookAtEc2 } = await import("./ec2-checks.ts");
    await lookAtEc2(list, fleet.ec2);
  }
}

function linesOf({ name, status, seen, fixes }: Check): string {
  const head = `${status.padEnd(WIDTH)}  ${name}: ${oneLine(seen)}\n`;
  return head + fixes.map((fix) => `${" ".repeat(WIDTH + 2)}fix: ${oneLine(fix)}\n`).join("");
}

function oneLine(text: string): string {
  return toTerminal(text.replaceAll(/\s*\n\s*/g, "; "));
}

function finish(terminal: Terminal, { json }: DoctorFlags, checks: readonly Check[]): number {
  const count = (wanted: Check["status"]) => checks.filter(({ status }) => status === wanted).length;
  const failed = count("fail");
  if (json === true) {
    terminal.stdout(`${JSON.stringify({ ok: failed === 0, checks })}\n`);
  } else {
    const [good, warnings, skipped] = [count("ok"), count("warn"), count("skipped")];
    terminal.stderr(
      `${checks.length} checks: ${good} ok, ${warnings} to look at, ${failed} failed, ${skipped} skipped\n`,
    );
  }
  return failed === 0 ? 0 : A_CHECK_FAILED;
}
