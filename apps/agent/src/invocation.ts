import type { Assignment, Sandbox } from "@mayfly/core/protocol";
import { RELAY_PORT, places } from "./places.ts";

const MODEL_RETRIES_MAX = 2;
const STREAM_RETRIES_MAX = 3;
// The relay itself waits a minute for the broker, and a model may think for minutes between two events.
const STREAM_IDLE_MS = 300_000;

/** Features of the CLI that reach out, keep state or start helpers; a review needs none of them. */
const disabledFeatures = [
  // With it the CLI waits for ever for a network that will not come.
  "unbounded_connection_retries",
  "multi_agent",
  "apps",
  "plugins",
  "remote_plugin",
  "hooks",
  "goals",
  "shell_snapshot",
  "image_generation",
  "sleep_tool",
];

/**
 * The arguments of `codex exec` for one attempt. The prompt comes on stdin. Nothing of the repository configures the CLI:
 * no project document, skill, rule, hook or server of it is loaded. Flags as of version 0.169.0; `--strict-config` makes
 * the CLI refuse what it does not know instead of passing over it.
 */
export function codexArguments(codex: Assignment["codex"], sandbox: Sandbox): string[] {
  return [
    "exec",
    "--json",
    "--ephemeral",
    "--skip-git-repo-check",
    "--strict-config",
    "--ignore-user-config",
    "--ignore-rules",
    "--color=never",
    "--cd",
    workingFolder(codex.working_directory),
    "--sandbox",
    sandbox,
    ...settings(codex).flatMap(([key, value]) => ["--config", `${key}=${value}`]),
    ...disabledFeatures.flatMap((feature) => ["--disable", feature]),
    "--model",
    codex.model,
    ...(codex.output_schema === null ? [] : ["--output-schema", places.schema]),
    "--output-last-message",
    places.lastMessage,
    ...codex.args,
    "-",
  ];
}

/** The folder Codex works in. Throws for a path that leads out of the repository. */
export function workingFolder(relative: string): string {
  const parts = relative.split("/").filter((part) => part !== "" && part !== ".");
  if (relative.startsWith("/") || parts.includes("..") || relative.includes("\0")) {
    throw new Error("the working directory must lie in the repository");
  }
  return [places.repository, ...parts].join("/");
}

function settings(codex: Assignment["codex"]): [string, string][] {
  const provider = [
    'name="mayfly"',
    `base_url="http://127.0.0.1:${RELAY_PORT}/v1"`,
    'wire_api="responses"',
    `request_max_retries=${MODEL_RETRIES_MAX}`,
    `stream_max_retries=${STREAM_RETRIES_MAX}`,
    `stream_idle_timeout_ms=${STREAM_IDLE_MS}`,
  ];
  const all: [string, string][] = [
    ["approval_policy", "never"],
    ["sandbox_workspace_write.network_access", "false"],
    ["sandbox_workspace_write.exclude_slash_tmp", "true"],
    ["model_providers.mayfly", `{${provider.join(",")}}`],
    ["model_provider", "mayfly"],
    ["web_search", "disabled"],
    ["project_doc_max_bytes", "0"],
    // Newer models are offered sub-agents whatever the feature of that name says.
    ["agents.enabled", "false"],
    ["skills.include_instructions", "false"],
    ["skills.bundled.enabled", "false"],
    ["shell_environment_policy.inherit", "core"],
    ["shell_environment_policy.ignore_default_excludes", "false"],
    ["allow_login_shell", "false"],
    ["analytics.enabled", "false"],
    ["check_for_update_on_startup", "false"],
    ["history.persistence", "none"],
  ];
  // A JSON string is a TOML string, whatever is in it.
  return codex.effort === null ? all : [...all, ["model_reasoning_effort", JSON.stringify(codex.effort)]];
}
