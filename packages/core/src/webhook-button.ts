import { z } from "zod";
import { RUN_AGAIN } from "./render/check.ts";
import type { Actor } from "./run-request.ts";
import { Id, Installation, invalid, NAME_CHARS_MAX, Sender } from "./webhook-parts.ts";

/** A button of a check run was pressed. GitHub tells only the App whose check run it is. */
export interface ButtonEvent {
  readonly kind: "button";
  readonly installation: number;
  readonly repositoryId: number;
  readonly sender: Actor;
  readonly identifier: string;
  readonly checkRunId: number;
  /** What we called the check run: the run's id. */
  readonly externalId: string;
}

const ButtonBody = z.object({
  sender: Sender,
  installation: Installation,
  repository: z.object({ id: Id }),
  check_run: z.object({ id: Id, external_id: z.string().max(NAME_CHARS_MAX) }),
  // GitHub's own bound is 20 characters.
  requested_action: z.object({ identifier: z.string().min(1).max(64) }),
});

/** True for our button that means what GitHub's own `Re-run` means. */
export function isRunAgain(body: object): boolean {
  const read = z.object({ action: z.literal("requested_action"), requested_action: RunAgain }).safeParse(body);
  return read.success;
}

const RunAgain = z.object({ identifier: z.literal(RUN_AGAIN.identifier) });

/** What a `check_run` event says if it is about a button; null if it is about anything else, `Run again` too. */
export function parseButton(body: object): ButtonEvent | { readonly kind: "invalid"; readonly reason: string } | null {
  if (!("action" in body) || body.action !== "requested_action" || isRunAgain(body)) {
    return null;
  }
  const parsed = ButtonBody.safeParse(body);
  if (!parsed.success) {
    return invalid(parsed.error);
  }
  const { sender, installation, repository, check_run: check, requested_action: asked } = parsed.data;
  return {
    kind: "button",
    installation: installation.id,
    repositoryId: repository.id,
    sender,
    identifier: asked.identifier,
    checkRunId: check.id,
    externalId: check.external_id,
  };
}
