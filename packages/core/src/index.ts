export * from "./assert.ts";
export * from "./budget.ts";
export * from "./config.ts";
export * from "./config-docs.ts";
export type { ConfigProblem } from "./config-draft.ts";
export type { IssuerConfig } from "./config-issuer.ts";
export * from "./decide-run.ts";
export * from "./ending.ts";
export * from "./errors.ts";
export * from "./ids.ts";
export * from "./limits.ts";
export * from "./machine.ts";
export {
  type ModelRequestPolicy,
  type ModelRequestResult,
  rebuildModelRequest,
} from "./model-request/model-request.ts";
export { type ModelRefusalCode, modelRefusals } from "./model-request/refusal.ts";
export * from "./policy.ts";
export * from "./ports.ts";
export * from "./prompt.ts";
export * from "./protocol.ts";
export * from "./receipt-signature.ts";
export * from "./recheck.ts";
export * from "./render/as-root.ts";
export * from "./render/check.ts";
export * from "./render/comment.ts";
export * from "./render/duration.ts";
export * from "./render/fallback.ts";
export * from "./render/receipt.ts";
export * from "./render/spend.ts";
export * from "./render/steps.ts";
export * from "./result.ts";
export * from "./run-request.ts";
export * from "./run.ts";
export * from "./safe-output/find-secrets.ts";
export * from "./safe-output/rules.ts";
export * from "./safe-output/to-terminal.ts";
export * from "./safe-output/withheld.ts";
export * from "./secret.ts";
export * from "./strict-json.ts";
export * from "./task-file.ts";
export { readTaskOption, type TaskOptions } from "./task-options.ts";
export * from "./task-spec.ts";
export * from "./trigger.ts";
export * from "./webhook.ts";
