import { type Config, offersPatch } from "@mayfly/core";
import { type Purpose, purposes } from "../../signer/purposes.ts";
import { fail, type Finding, ok, warn } from "./checklist.ts";

/** What an App was granted, and the page of its settings. */
export interface AppGrants {
  readonly permissions: Readonly<Record<string, string>>;
  readonly events: readonly string[];
  readonly page: string;
}

/** In rising order, as GitHub has them. */
const levels = ["none", "read", "write", "admin"];
/** Without the first there are no runs on labels; without the others commands and buttons do nothing. */
const events = {
  pull_request: { shown: "Pull request", isNeeded: true },
  issue_comment: { shown: "Issue comment", isNeeded: false },
  check_run: { shown: "Check run", isNeeded: false },
} as const;

/** Minted for nothing else. */
const forPatches: readonly string[] = ["patch", "draft"] satisfies readonly Purpose[];

/** All that tokens are minted for, the highest of each; what patches alone need apart. */
function neededPermissions(publishes: Config["policy"]["publications"]): Map<string, string> {
  const needed = new Map<string, string>();
  for (const [purpose, { permissions }] of Object.entries(purposes)) {
    if (forPatches.includes(purpose) && !offersPatch({ publish: publishes })) {
      continue;
    }
    for (const [name, level] of Object.entries(permissions)) {
      if (isBelow(needed.get(name), level)) {
        needed.set(name, level);
      }
    }
  }
  return needed;
}

/** Compares what the App was granted with what tokens are minted for. What is too much is a warning. */
export function permissionsFinding(
  { permissions, page }: AppGrants,
  publishes: Config["policy"]["publications"],
): Finding {
  const missing = [...neededPermissions(publishes)].filter(([name, level]) => isBelow(permissions[name], level));
  const useful = neededPermissions(["patch"]);
  const excess = Object.entries(permissions).filter(([name, level]) => isBelow(useful.get(name), level));
  if (missing.length > 0) {
    return fail(
      `not granted: ${missing.map(shown).join(", ")}`,
      `grant ${missing.map(shown).join(", ")} at ${page}/permissions, then accept it for each installation`,
    );
  }
  return excess.length > 0
    ? warn(
        `granted, and used for nothing: ${excess.map(shown).join(", ")}`,
        `take ${excess.map(shown).join(", ")} away at ${page}/permissions`,
      )
    : ok(Object.entries(permissions).map(shown).join(", "));
}

/** Compares what the App hears with what Mayfly listens for. Installation events come by themselves. */
export function eventsFinding({ events: heard, page }: AppGrants): Finding {
  const missing = Object.entries(events).filter(([name]) => !heard.includes(name));
  if (missing.length === 0) {
    return ok(heard.join(", "));
  }
  const names = missing.map(([, { shown: name }]) => name).join(", ");
  const fix = `subscribe to ${names} at ${page}/permissions`;
  return missing.some(([, { isNeeded }]) => isNeeded)
    ? fail(`not subscribed to ${names}: no label is heard of`, fix)
    : warn(`not subscribed to ${names}: commands or buttons do nothing`, fix);
}

/** As GitHub's pages and answers have it. */
function shown([name, level]: readonly [string, string]): string {
  return `${name}: ${level}`.replaceAll(/[^\w: -]/g, "?");
}

function isBelow(granted: string | undefined, needed: string): boolean {
  return levels.indexOf(granted ?? "none") < levels.indexOf(needed);
}
