import { limits } from "./limits.ts";
import { SafetyStrategy, Sandbox } from "./protocol.ts";
import { draftChoices, efforts, publications } from "./task-options.ts";

const names = (what: string, example: string) => ({
  description: `${what} A list, or one text with commas.`,
  anyOf: [{ type: "array", items: { type: "string" } }, { type: "string" }],
  examples: [[example]],
});

/**
 * The options of a task file as a JSON Schema (draft 7), for editors and other programs. It accepts all that a run
 * accepts, and a little more: rules that no schema can say are `mayfly task check`'s.
 */
export const taskSchema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Options of a Mayfly task",
  description: "The YAML between the two lines `---` at the head of .github/codex/labels/<label>.md.",
  type: "object",
  additionalProperties: false,
  properties: {
    enabled: {
      description: "False switches the task off, and the organisation's default of that name with it.",
      type: "boolean",
      default: true,
    },
    model: {
      description: "The model's name. Default: the operator's.",
      type: "string",
      pattern: "^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$",
    },
    effort: { description: "Reasoning effort. Default: the model's.", enum: efforts },
    sandbox: {
      description: "Codex's own sandbox for its commands.",
      enum: Sandbox.options,
      default: "workspace-write",
    },
    "safety-strategy": {
      description: "How Codex is confined in the machine.",
      enum: SafetyStrategy.options,
      default: "unprivileged-user",
    },
    "output-schema": {
      description: "A JSON Schema that Codex answers by: a mapping, or a text with a JSON object.",
      anyOf: [{ type: "object" }, { type: "string" }],
    },
    "working-directory": {
      description: "Where Codex works, relative to the repository's root, without `..` and `.git`.",
      type: "string",
      maxLength: 1024,
      pattern: "^(?!/)(?!(.*/)?\\.\\.(/|$))(?!(.*/)?\\.[gG][iI][tT](/|$))",
      default: "",
    },
    "codex-args": {
      description: "Arguments of a closed list; docs/reference/tasks.md has it.",
      anyOf: [{ type: "array", items: { type: "string" } }, { type: "string" }],
    },
    setup: {
      description:
        "Shell commands that are run before Codex, as its user; without network, but for the hosts of `network`.",
      anyOf: [
        { type: "string", minLength: 1, maxLength: limits.setupCommandCharsMax },
        {
          type: "array",
          minItems: 1,
          maxItems: limits.setupCommandsMax,
          items: { type: "string", minLength: 1, maxLength: limits.setupCommandCharsMax },
        },
      ],
    },
    network: {
      description:
        "Hosts that set-up commands may reach, on port 443 with TLS; the operator's `policy.setup_hosts` must name them. Never on forks.",
      anyOf: [
        { type: "array", minItems: 1, maxItems: limits.setupHostsMax, items: { type: "string", minLength: 4 } },
        { type: "string", minLength: 4 },
      ],
      examples: [["packages.example.com"]],
    },
    "allow-users": names("Logins that may start this task without write access. Never on forks.", "octocat"),
    "allow-bots": {
      description: "Lets github-actions[bot] start this task. Never on forks.",
      type: ["boolean", "string", "number"],
      default: false,
    },
    "allow-bot-users": names("Bots that may start this task. Never on forks.", "dependabot[bot]"),
    publish: {
      description: "What the result may become on GitHub. Default: what the operator allows of comment and check.",
      anyOf: [
        { type: "array", minItems: 1, items: { enum: publications } },
        { type: "string", minLength: 1 },
      ],
      examples: [["review", "check"]],
    },
    timeout: {
      description: "How long Codex may take, such as 90s, 20m or 1h: from 10s to the operator's most.",
      type: "string",
      pattern: "^[0-9]{1,6}[smh]$",
      default: "30m",
    },
    "on-draft": {
      description: "What becomes of a live run when its pull request is made a draft.",
      enum: draftChoices,
      default: "continue",
    },
  },
} as const;
