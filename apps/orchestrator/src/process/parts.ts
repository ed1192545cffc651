import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { AppError, type Config } from "@mayfly/core";
import type { Account, Accounts } from "../host/account.ts";
import { receiptKeysFolder } from "../signer/receipt-keys.ts";
import type { BrokerSettings } from "./settings.ts";
import type { Part } from "./supervise.ts";

/** The broker and what it is told. Throws MODEL_KEY_MISSING when no model can be asked. */
export function brokerPart(config: Config): Omit<Part, "account"> & { settings: BrokerSettings } {
  const { stateDir, redisUrl, logLevel, model, budgets } = config;
  if (model.issuer === null) {
    throw new AppError("MODEL_KEY_MISSING", "no model key is set");
  }
  return {
    name: "broker",
    settings: { stateDir, redisUrl, logLevel, model: { ...model, issuer: model.issuer }, budgets },
  };
}

/**
 * The state folder and the folders in it that are not the service's. Strangers may pass through the state folder and see
 * no names: the broker and the signer are strangers to it, and everything in it is closed to all but those it is for.
 */
export function prepareFolders(stateDir: string, accounts: Accounts | null): void {
  prepareFolder(stateDir, accounts?.service ?? null, 0o711);
  prepareFolder(`${stateDir}/broker`, accounts?.broker ?? null, 0o710);
  prepareFolder(`${stateDir}/signer`, accounts?.signer ?? null, 0o710);
  // Public keys: whoever has a receipt may check it.
  prepareFolder(receiptKeysFolder(stateDir), accounts?.service ?? null, 0o755);
}

function prepareFolder(path: string, owner: Account | null, mode: number): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
  if (owner !== null) {
    chownSync(path, owner.uid, owner.gid);
  }
}
