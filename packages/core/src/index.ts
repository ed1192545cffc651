export { type Activity, readActivity, textsOfActivity } from "./activity.ts";
export * from "./assert.ts";
export * from "./budget.ts";
export * from "./ceiling.ts";
export { type Command, INSTRUCTIONS_CHARS_MAX, labelsOfFiles, taskNamed } from "./command.ts";
export * from "./config.ts";
export * from "./config-docs.ts";
export type { ConfigProblem } from "./config-draft.ts";
export type { AppKeyConfig } from "./config-app-key.ts";
export type { Ec2Config } from "./config-ec2.ts";
export type { IssuerConfig } from "./config-issuer.ts";
export { isWhole, type Role } from "./config-roles.ts";
export * from "./decide-run.ts";
export * from "./ending.ts";
export * from "./enrolment.ts";
export * from "./errors.ts";
export * from "./fleet-history.ts";
export * from "./fleet-line.ts";
export * from "./fleet-plan.ts";
export * from "./fleet-present.ts";
export * from "./ids.ts";
export * from "./launch.ts";
export * from "./limits.ts";
export * from "./machine.ts";
export { upgradeMachine } from "./machine-upgrade.ts";
export {
  type ModelRequestPolicy,
  type ModelRequestResult,
  rebuildModelRequest,
} from "./model-request/model-request.ts";
export { type ModelRefusalCode, modelRefusals } from "./model-request/refusal.ts";
export {
  type PatchAsker,
  type PullRequestNow,
  patchMessage,
  refuseApply,
  refuseDiscard,
  withDecision,
} from "./patch/apply.ts";
export { suggestPatch } from "./patch/suggestions.ts";
export { checkPatch, type PatchBase, type PatchCheck, type PatchFile, patchRefusals } from "./patch/check.ts";
export {
  isOperatorDelivery,
  isOperatorKey,
  OPERATOR_EVENT,
  OperatorAsk,
  operatorDeliveryId,
  parsePullAddress,
  type PullAddress,
  pullName,
} from "./operator-ask.ts";
export * from "./policy.ts";
export * from "./ports.ts";
export { isProgressDue } from "./progress-pace.ts";
export type { ChangedFile, DiffSize } from "./changed-files.ts";
export * from "./prompt.ts";
export * from "./protocol.ts";
export * from "./receipt-signature.ts";
export * from "./recheck.ts";
export { renderActivity } from "./render/activity.ts";
export { type CheckAnnotation, renderAnnotations } from "./render/annotations.ts";
export * from "./render/as-root.ts";
export * from "./render/check.ts";
export * from "./render/comment.ts";
export * from "./render/duration.ts";
export { renderEarlier } from "./render/earlier.ts";
export * from "./render/fallback.ts";
export { draftBranch, renderDraft } from "./render/draft.ts";
export { renderPatch, renderWholePatch } from "./render/patch.ts";
export * from "./render/receipt.ts";
export { renderReview, reviewMarker, reviewText, readFindingMarker } from "./render/review.ts";
export { renderReached } from "./render/reached.ts";
export * from "./render/spend.ts";
export * from "./render/steps.ts";
export { renderTaskCheck } from "./render/task-check.ts";
export { takenBackText } from "./render/taken-back.ts";
export * from "./steady.ts";
export * from "./result.ts";
export { parseReview, type Review, type ReviewWords, reviewSchema, textsOfReview } from "./review.ts";
export { type FindingComment, matchFindings, placeOpen } from "./review-open.ts";
export { type DiffFile, type PlacedFinding, type PlacedReview, placeReview, placeWithout } from "./review-place.ts";
export { sayMisfit, structuredMisfit } from "./output-misfit.ts";
export * from "./run-request.ts";
export * from "./run.ts";
export * from "./safe-output/find-secrets.ts";
export type { LinkScope } from "./safe-output/links.ts";
export { makeSafe } from "./safe-output/make-safe.ts";
export * from "./safe-output/rules.ts";
export * from "./safe-output/to-terminal.ts";
export * from "./safe-output/withheld.ts";
export * from "./secret.ts";
export * from "./setup-connection.ts";
export { SETUP_PORT, type SetupHost } from "./setup-host.ts";
export * from "./strict-json.ts";
export { judgeTaskChange, type TaskContent, type TaskFileChange, type TaskTerms } from "./task-change.ts";
export * from "./task-explanation.ts";
export * from "./task-file.ts";
export { readTaskOption, type TaskOptions } from "./task-options.ts";
export { type TaskProblem, taskProblems } from "./task-problems.ts";
export { taskSchema } from "./task-schema.ts";
export { readTaskCheckId, taskCheckId } from "./task-check-id.ts";
export * from "./task-spec.ts";
export * from "./trigger.ts";
export * from "./warm-schedule.ts";
export * from "./webhook.ts";
export { readPlace } from "./webhook-parts.ts";
export type { CommentEvent, RepositoryEvent, RerunAllEvent, RerunEvent } from "./webhook-asked.ts";
