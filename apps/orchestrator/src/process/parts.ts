import { closeSync, constants, fchmodSync, fchownSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { AppError, type Config } from "@mayfly/core";
import type { Account, Accounts } from "../host/account.ts";
import { receiptKeysFolder } from "../signer/receipt-keys.ts";
import { type BrokerSettings, isSpread } from "./settings.ts";
import { sockets } from "./sockets.ts";
import type { Part } from "./supervise.ts";

/**
 * The broker and what it is told. Throws MODEL_KEY_MISSING when no model can be asked.
 *
 * @param host This host's name among those of the service.
 */
export function brokerPart(config: Config, host: string): Omit<Part, "account"> & { settings: BrokerSettings } {
  const { stateDir, sharedDir, redisUrl, logLevel, listen, fleet, model, budgets } = config;
  if (model.issuer === null) {
    throw new AppError("MODEL_KEY_MISSING", "no model key is set");
  }
  return {
    name: "broker",
    settings: {
      stateDir,
      sharedDir,
      spreadAs: isSpread(config) ? host : null,
      redisUrl,
      logLevel,
      door: fleet.provider === "ec2" ? listen.machines : null,
      model: { ...model, issuer: model.issuer },
      budgets,
    },
  };
}

/**
 * The state folder, the one that hosts share, and the folders in them that are not the service's alone. Started as root, strangers may pass through the
 * state folder and see no names: the broker and the signer are strangers to it, and everything in it is closed to all but
 * those it is for. Started by anybody else, nobody else has to pass. Throws CONFIG_INVALID for what is no folder.
 */
export function prepareFolders(stateDir: string, sharedDir: string, accounts: Accounts | null): void {
  for (const folder of new Set([stateDir, sharedDir])) {
    prepareFolder(folder, accounts?.service ?? null, accounts === null ? 0o700 : 0o711);
    prepareFolder(`${folder}/broker`, accounts?.broker ?? null, 0o710);
  }
  prepareFolder(`${stateDir}/signer`, accounts?.signer ?? null, 0o700);
  // The service passes as the owner, the signer puts its socket there by its group, and nobody else comes in.
  const door = accounts === null ? null : { ...accounts.service, gid: accounts.signer.gid };
  prepareFolder(dirname(sockets.signer(stateDir)), door, 0o730);
  // Public keys: whoever has a receipt may check it.
  prepareFolder(receiptKeysFolder(sharedDir), accounts?.service ?? null, 0o755);
}

/** By a descriptor: the service, which owns what is above, could have put a link in its place, and this may be root. */
function prepareFolder(path: string, owner: Pick<Account, "uid" | "gid"> | null, mode: number): void {
  mkdirSync(path, { recursive: true });
  let folder: number;
  try {
    folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `${path} is no folder of its own: remove what lies there`, { cause });
  }
  try {
    fchmodSync(folder, mode);
    if (owner !== null) {
      fchownSync(folder, owner.uid, owner.gid);
    }
  } finally {
    closeSync(folder);
  }
}
