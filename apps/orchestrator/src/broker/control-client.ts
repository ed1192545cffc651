import type { Channels, RunId, SecretHit } from "@mayfly/core";
import { z } from "zod";
import type { Reach } from "../host/socket-client.ts";

/** Opening a socket or looking through a result takes moments. */
const ANSWER_MS = 30_000;
/** A broker that ended is there again within a second or two. */
const RETRY_MS = 15_000;
/** Its first start loads its code and waits for Redis, beside others that do the same on a small host. */
const START_MS = 120_000;

const Found = z.strictObject({ found: z.array(z.strictObject({ kind: z.string(), form: z.string() })) });

/** The broker as the service sees it. Everything may be repeated. Throws SERVICE_NOT_RUNNING while there is none. */
export interface BrokerClient extends Channels {
  /** Resolves once the broker answers. */
  ready(): Promise<void>;
  /**
   * Looks for the model's credentials in texts that are to be published: for the operator's, and for those that the
   * attempts of this run had, or of every run where none is named.
   */
  findSecrets(texts: readonly string[], run?: RunId): Promise<SecretHit[]>;
}

export function createBrokerClient(reach: Reach): BrokerClient {
  const client = reach({ answerMs: ANSWER_MS, retryMs: RETRY_MS, who: "the broker" });
  const starting = reach({ answerMs: ANSWER_MS, retryMs: START_MS, who: "the broker" });
  return {
    async ready() {
      await starting.ask("GET", "/ready");
    },
    async ensureOpen(id) {
      await client.ask("POST", `/channels/${id}/open`);
    },
    async ensureClosed(id) {
      await client.ask("POST", `/channels/${id}/close`);
    },
    async findSecrets(texts, run) {
      return Found.parse(await client.ask("POST", "/find-secrets", { texts, run })).found;
    },
  };
}
