import { machineRules } from "./machine-rules.fixture.ts";
import { networkRules } from "./network-rules.fixture.ts";
import { serviceRules } from "./service-rules.fixture.ts";
import type { Rules, Template } from "./template.fixture.ts";

/** What must hold of a template, each rule by itself, so that a test can see that each can fail. */
export const rules: Rules = { ...networkRules, ...machineRules, ...serviceRules };

/** The rules that a template breaks, by name. */
export function brokenRules(template: Template): string[] {
  return Object.entries(rules).flatMap(([name, check]) => check(template).map((what) => `${name}: ${what}`));
}
