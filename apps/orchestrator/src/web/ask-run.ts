import { createHash } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import {
  AppError,
  isOperatorKey,
  limits,
  OPERATOR_EVENT,
  OperatorAsk,
  operatorDeliveryId,
  pullName,
  type Run,
  type Store,
} from "@mayfly/core";
import { z } from "zod";
import type { WakeupQueue } from "../runs/wakeups.ts";
import type { DeliveryStore } from "../store/deliveries.ts";

/** A person does not notice less, and Redis does not notice more. */
const LOOK_MS = 100;

/** What the control socket takes. */
const Wish = z.strictObject({ ask: OperatorAsk, key: z.string().refine(isOperatorKey) });
export type Wish = z.infer<typeof Wish>;

/** What came of it: a run that waits, or one that policy refused, which the pull request is told as well. */
interface Asked {
  readonly run: Run;
  /** False where the same key had asked for it already. */
  readonly isNew: boolean;
}

/**
 * Keeps an operator's wish among the deliveries, so that a worker on whatever host takes it as it takes a label, and waits
 * for what becomes of it, at most limits.operatorAnswerMs. Idempotent by its key while deliveries are remembered, but
 * for a wish that came to nothing, which may be made again.
 *
 * @throws AppError INPUT_INVALID, NOT_STARTED with why, STILL_ASKING, STORE_UNAVAILABLE.
 */
export type AskRun = (body: unknown) => Promise<Asked>;

export function createAskRun(deps: {
  deliveries: DeliveryStore;
  store: Store;
  wakeups: Pick<WakeupQueue, "wakeDelivery">;
  answerMs?: number;
}): AskRun {
  const { deliveries, store, wakeups, answerMs = limits.operatorAnswerMs } = deps;
  return async (input) => {
    const read = Wish.safeParse(input);
    if (!read.success) {
      const [issue] = read.error.issues;
      throw new AppError(
        "INPUT_INVALID",
        `${issue?.path.join(".") ?? "the wish"}: ${issue?.message ?? "not understood"}`,
      );
    }
    const { ask, key } = read.data;
    const body = JSON.stringify(ask);
    // However the pull request's address was written.
    const event = `${OPERATOR_EVENT}:${digest(ask.kind === "start" ? JSON.stringify({ ...ask, pull: pullName(ask.pull) }) : body)}`;
    const id = operatorDeliveryId(digest(`${ask.kind}:${key}`));
    const known = await deliveries.get(id);
    if (known?.state === "ignored") {
      await deliveries.forgetIgnored(id);
    } else if (known !== null && known.event !== event) {
      throw new AppError("INPUT_INVALID", `the key ${key} was given for something else: give another with --key`);
    }
    const taken = await deliveries.accept({ id, event, body });
    await wakeups.wakeDelivery(id);
    const until = performance.now() + answerMs;
    for (;;) {
      const now = await deliveries.get(id);
      if (now !== null && now.state !== "accepted") {
        const run = now.state === "started" && now.run !== null ? await store.loadRun(now.run) : null;
        if (run === null) {
          throw new AppError("NOT_STARTED", now.reason);
        }
        return { run: run.value, isNew: taken === "accepted" };
      }
      if (performance.now() >= until) {
        const seconds = answerMs / 1_000;
        throw new AppError(
          "STILL_ASKING",
          `the service has not answered within ${seconds} s, and goes on trying (key ${key})`,
        );
      }
      await wait(LOOK_MS);
    }
  };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
