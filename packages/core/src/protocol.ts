import { z } from "zod";
import { limits } from "./limits.ts";
import { Result } from "./result.ts";

/**
 * What the agent and the broker say to each other: HTTP/1.1 over the machine's channel. The channel's identity is the
 * machine's identity; the capability (and for model calls the key) is worth nothing on another channel.
 *
 *   POST /v1/claim          hello, and wait for an attempt        204: none yet, ask again
 *   GET  /v1/source         the source pack                       capability
 *   CONNECT host:443        a connection of the set-up's          capability, gate not passed
 *   POST /v1/gate           the start gate's report               capability
 *   POST /v1/key            borrow the key; again to renew it     capability, gate passed
 *   POST /v1/heartbeat      renew the lease; told to stop         capability
 *   POST /v1/events         numbered events, resent till taken    capability
 *   POST /v1/responses      one model call, answered as a stream  key
 *   POST /v1/freeze         Codex is gone; capability and key die capability
 *   POST /v1/result         the result of that epoch, once        frozen attempt of this channel
 *
 * A machine whose channel is not a socket of its own enrols first (enrolment.ts) and shows its certificate ever after.
 * The agent dials out and trusts the broker; the broker trusts nothing it hears.
 */
export const PROTOCOL_VERSION = 1;
/** A rolling upgrade serves the version before as well. There is none before the first. */
export const PROTOCOL_VERSIONS_SERVED: readonly number[] = [1];

/**
 * The one header of the CLI that changes what its model call means: newer models are asked in a shorter shape (Codex CLI
 * 0.169.0). It passes when its value is `true`; every other header towards the model is the broker's own.
 */
export const MODEL_SHAPE_HEADER = "x-openai-internal-codex-responses-lite";

export const SafetyStrategy = z.enum(["unprivileged-user", "drop-sudo", "read-only", "unsafe"]);
export type SafetyStrategy = z.infer<typeof SafetyStrategy>;

export const Sandbox = z.enum(["read-only", "workspace-write", "danger-full-access"]);
export type Sandbox = z.infer<typeof Sandbox>;

export const ClaimRequest = z.strictObject({
  protocol: z.int().min(1).max(1_000),
  agent: z.string().max(64),
  codex: z.string().max(64),
});
export type ClaimRequest = z.infer<typeof ClaimRequest>;

const Sha = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/);

/** How to lay out the source once its pack is unpacked. */
export const SourceLayout = z.strictObject({
  head: Sha,
  /** Null when there is nothing to compare with. */
  base: Sha.nullable(),
  merge_base: Sha.nullable(),
  /** Commits whose parents are not in the pack: the content of .git/shallow. */
  shallow: z.array(Sha).max(limits.sourceCommitsMax + 10),
  pack_bytes: z.int().min(0).max(limits.sourceBytesMax),
  pack_sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type SourceLayout = z.infer<typeof SourceLayout>;

/** Everything the agent needs for one attempt. Nothing in it is worth anything elsewhere. */
export const Assignment = z.strictObject({
  run: z.string().max(64),
  epoch: z.int().min(1),
  capability: z.string().min(32).max(128),
  /** Seconds the attempt has from now; the agent's clock is its own. */
  seconds: z.int().min(1),
  source: SourceLayout,
  /** Commands to be run as Codex's user before there is a key; not there when there are none. */
  setup: z.array(z.string().min(1).max(limits.setupCommandCharsMax)).min(1).max(limits.setupCommandsMax).optional(),
  /** Hosts that those commands may reach through the broker; not there when they reach none. */
  network: z.array(z.string().max(253)).min(1).max(limits.setupHostsMax).optional(),
  /** The result brings the changed files themselves; not there when they are not wanted. */
  collect_changes: z.literal(true).optional(),
  codex: z.strictObject({
    prompt: z.string().max(limits.promptBytesMax),
    model: z.string().max(128),
    effort: z.string().max(32).nullable(),
    sandbox: Sandbox,
    safety_strategy: SafetyStrategy,
    /** Relative to the repository's root, without `..`; empty for the root. */
    working_directory: z.string().max(1_024),
    output_schema: z.string().max(limits.taskBytesMax).nullable(),
    /** Only flags of the closed list (task-args.ts). */
    args: z.array(z.string().max(1_024)).max(32),
  }),
});
export type Assignment = z.infer<typeof Assignment>;

/** One thing the start gate looked at. */
export const GateCheck = z.strictObject({
  name: z.string().max(64),
  ok: z.boolean(),
  /** What was seen, in words. */
  seen: z.string().max(512),
});
export type GateCheck = z.infer<typeof GateCheck>;

export const GateReport = z
  .strictObject({
    safety_strategy: SafetyStrategy,
    checks: z.array(GateCheck).min(1).max(64),
    /** Names of checks that were not made, since they mean nothing for root. */
    not_applicable: z.array(z.string().max(64)).min(1).max(64).optional(),
  })
  .refine((report) => report.safety_strategy === "unsafe" || report.not_applicable === undefined, {
    message: "only unsafe leaves checks out",
    path: ["not_applicable"],
  });
export type GateReport = z.infer<typeof GateReport>;

export const KeyGrant = z.strictObject({
  key: z.string().min(32).max(128),
  /** Seconds it is good for unless renewed. */
  seconds: z.int().min(1),
});
export type KeyGrant = z.infer<typeof KeyGrant>;

export const HeartbeatAnswer = z.strictObject({
  /** Why Codex must be ended now, or null to go on. */
  stop: z.enum(["cancelled", "superseded", "deadline"]).nullable(),
});
export type HeartbeatAnswer = z.infer<typeof HeartbeatAnswer>;

/** What the agent reports while it works. `codex` carries one line of the CLI's own event stream, opaque to us. */
export const AgentEvent = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("source_ready") }),
  z.strictObject({ type: z.literal("codex_started") }),
  /** One line of what a set-up command said. */
  z.strictObject({ type: z.literal("setup"), line: z.string().max(limits.eventBytesMax) }),
  z.strictObject({ type: z.literal("codex"), line: z.string().max(limits.eventBytesMax) }),
  z.strictObject({ type: z.literal("codex_exited"), exit_code: z.int().min(0).max(255).nullable() }),
  z.strictObject({ type: z.literal("note"), text: z.string().max(4_000) }),
]);
export type AgentEvent = z.infer<typeof AgentEvent>;

export const EventBatch = z.strictObject({
  /** Number of the first event; they count from 0 without gaps. */
  first: z.int().min(0),
  events: z.array(AgentEvent).max(limits.eventBatchMax),
});
export type EventBatch = z.infer<typeof EventBatch>;

export const EventsTaken = z.strictObject({
  /** The number the broker expects next: everything before it is safe. */
  next: z.int().min(0),
});
export type EventsTaken = z.infer<typeof EventsTaken>;

/** The agent could not do its work, before or instead of a result. */
export const AgentFailure = z.strictObject({
  step: z.enum(["source", "setup", "gate", "key", "codex", "collect"]),
  message: z.string().max(2_000),
});
export type AgentFailure = z.infer<typeof AgentFailure>;

/** What comes once, after freeze. */
export const ResultFrame = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("result"), epoch: z.int().min(1), result: Result }),
  z.strictObject({ kind: z.literal("failure"), epoch: z.int().min(1), failure: AgentFailure }),
]);
export type ResultFrame = z.infer<typeof ResultFrame>;

/** How the broker refuses. Codes are stable. */
export const BrokerRefusal = z.strictObject({
  error: z.strictObject({ code: z.string().max(64), message: z.string().max(1_000) }),
});
export type BrokerRefusal = z.infer<typeof BrokerRefusal>;
