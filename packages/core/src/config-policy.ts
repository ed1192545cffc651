import { z } from "zod";
import { limits } from "./limits.ts";
import { SafetyStrategy } from "./protocol.ts";
import { listOf, setting, Text, wholeNumber } from "./setting.ts";
import { parseSetupHost } from "./setup-host.ts";
import { publications } from "./task-options.ts";
import { offersPatch } from "./task-spec.ts";

/** More than this is no list that somebody looks after. */
const SETUP_HOSTS_MAX = 100;
const RUN_MINUTES_MAX = 24 * 60;
/** All but `unsafe`, which an operator must name. */
const strategiesByDefault: readonly SafetyStrategy[] = ["unprivileged-user", "drop-sudo", "read-only"];

/** The operator's ceiling over every task. */
export const PolicySection = z.strictObject({
  labels: setting(
    {
      environment: "MAYFLY_LABELS",
      description: "Labels that start runs. `*` stands for any characters but `/`; case does not count.",
    },
    listOf(Text).default(["codex-*"]),
  ),
  repositories: setting(
    {
      environment: "MAYFLY_REPOSITORIES",
      description: "Repositories that may have runs, as `owner/name`, with `*` as above.",
    },
    listOf(Text.regex(/^[^/]+\/[^/]+$/, "must be owner/name")).default(["*/*"]),
  ),
  models: setting(
    { environment: "MAYFLY_MODELS", description: "Models that tasks may name, with `*` as above." },
    listOf(Text).default(["*"]),
  ),
  safety_strategies: setting(
    {
      environment: "MAYFLY_SAFETY_STRATEGIES",
      description:
        "Safety strategies that tasks may name. `unsafe`, Codex as root in its machine, only if it is named.",
    },
    listOf(SafetyStrategy).default([...strategiesByDefault]),
  ),
  setup_hosts: setting(
    {
      environment: "MAYFLY_SETUP_HOSTS",
      description:
        "Hosts that tasks' set-up commands may reach through the broker, by exact name; none unless named. " +
        "`HOST=ADDRESS:PORT` says where it is, as for a mirror inside; without, its name must lead to a public address.",
      defaultText: "none",
    },
    z
      .array(Text.refine((text) => parseSetupHost(text) !== null, "must be HOST, HOST=ADDRESS or HOST=ADDRESS:PORT"))
      .max(SETUP_HOSTS_MAX)
      .default([]),
  ),
  publications: setting(
    {
      environment: "MAYFLY_PUBLICATIONS",
      description: "What tasks may put on a pull request. `comment` or `check` must be among them.",
    },
    // A task that names none gets neither a review nor a patch in any way, and every run shows how it ended.
    listOf(z.enum(publications))
      .refine((names) => names.includes("comment") || names.includes("check"), "must name comment or check")
      .default(publications.filter((name) => !offersPatch({ publish: [name] }))),
  ),
  run_minutes_max: setting(
    { environment: "MAYFLY_RUN_MINUTES_MAX", description: "The longest timeout that a task may name, in minutes." },
    wholeNumber(1, RUN_MINUTES_MAX).default(limits.runMsMax / 60_000),
  ),
});
