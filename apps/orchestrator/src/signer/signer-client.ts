import { AppError, type ReceiptSignature } from "@mayfly/core";
import { createSocketClient } from "../host/socket-client.ts";
import type { AppAnswers } from "./app-requests.ts";
import type { MintedToken, ReceiptPublicKey, Signer } from "./signer.ts";
import { type SignerAnswer, UpstreamStatus } from "./signer-wire.ts";

/** A request to GitHub of 20 s, sent again three times with pauses, and what else the signer does. */
const ANSWER_MS = 120_000;
/** A signer that ended is started again within seconds: its crash costs no run. */
const RESTART_MS = 20_000;
/** Its first start loads its code beside others that do the same on a small host. */
const START_MS = 120_000;

/** The signer as another process has it. */
export interface SignerClient extends Signer {
  /** Resolves once it answers. */
  ready(): Promise<void>;
}

/**
 * The signer, from another process. `session` is the caller's own for as long as it lives, and new when it starts again:
 * the first call of a new one revokes every token of the old.
 */
export function createSignerClient(options: { socket: string; session: string }): SignerClient {
  const { socket, session } = options;
  const common = { socket, answerMs: ANSWER_MS, who: "the signer" };
  const client = createSocketClient({ ...common, retryMs: RESTART_MS });
  const starting = createSocketClient({ ...common, retryMs: START_MS });

  async function ask<T>(path: string, body: object, over = client): Promise<T> {
    const said = await over.ask<SignerAnswer<T>>("POST", path, { ...body, session });
    if ("answer" in said) {
      return said.answer;
    }
    const { code, message, status } = said.refused;
    throw new AppError(code, message, status === null ? {} : { cause: new UpstreamStatus(status) });
  }

  return {
    ready: async () => void (await ask("/public-keys", {}, starting)),
    mint: (request) => ask<MintedToken>("/mint", request),
    revoke: async (token) => void (await ask<null>("/revoke", { token })),
    asApp: (route, parameters) => ask<AppAnswers[typeof route]>("/as-app", { route, parameters }),
    signReceipt: (receipt) => ask<ReceiptSignature>("/sign-receipt", { receipt }),
    publicKeys: () => ask<readonly ReceiptPublicKey[]>("/public-keys", {}),
  };
}
