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
  const { stateDir, sharedDir, redisUrl, logLevel, listen, fleet, model, budgets, setupHosts } = config;
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
      setupHosts,
    },
  };
}

type Owner = Pick<Account, "uid" | "gid">;
/** The setting that a folder lies below. */
type FolderSetting = "state_dir" | "shared_dir";

/** A folder as it has to be when the processes start. */
export interface OwnFolder {
  readonly path: string;
  readonly setting: FolderSetting;
  /** Null where it belongs to whoever started us. */
  readonly owner: Owner | null;
  readonly mode: number;
}

/**
 * The state folder, the one that hosts share, and the folders in them that are not the service's alone. Started as root,
 * strangers may pass through the state folder and see no names: the broker and the signer are strangers to it, and
 * everything in it is closed to all but those it is for. Started by anybody else, nobody else has to pass.
 */
export function ownFolders(stateDir: string, sharedDir: string, accounts: Accounts | null): readonly OwnFolder[] {
  const isOne = sharedDir === stateDir;
  const places = [["state_dir", stateDir] as const, ["shared_dir", sharedDir] as const];
  const service = accounts?.service ?? null;
  // The service passes as the owner, the signer puts its socket there by its group, and nobody else comes in.
  const door = accounts === null ? null : { ...accounts.service, gid: accounts.signer.gid };
  return [
    ...(isOne ? places.slice(0, 1) : places).flatMap(([setting, path]) => [
      { path, setting, owner: service, mode: accounts === null ? 0o700 : 0o711 },
      { path: `${path}/broker`, setting, owner: accounts?.broker ?? null, mode: 0o710 },
    ]),
    { path: `${stateDir}/signer`, setting: "state_dir", owner: accounts?.signer ?? null, mode: 0o700 },
    { path: dirname(sockets.signer(stateDir)), setting: "state_dir", owner: door, mode: 0o730 },
    // Public keys: whoever has a receipt may check it.
    {
      path: receiptKeysFolder(sharedDir),
      setting: isOne ? "state_dir" : "shared_dir",
      owner: service,
      mode: 0o755,
    },
  ];
}

/** Makes them so. Throws CONFIG_INVALID for what is no folder or cannot be made one, and says why. */
export function prepareFolders(stateDir: string, sharedDir: string, accounts: Accounts | null): void {
  ownFolders(stateDir, sharedDir, accounts).forEach(prepareFolder);
}

/** By a descriptor: the service, which owns what is above, could have put a link in its place, and this may be root. */
function prepareFolder({ path, setting, owner, mode }: OwnFolder): void {
  let folder: number | null = null;
  try {
    mkdirSync(path, { recursive: true });
    folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    fchmodSync(folder, mode);
    if (owner !== null) {
      fchownSync(folder, owner.uid, owner.gid);
    }
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", whyNot(path, setting, cause as NodeJS.ErrnoException), { cause });
  } finally {
    if (folder !== null) {
      closeSync(folder);
    }
  }
}

/** What stands in the way, where, and what would do. */
function whyNot(
  path: string,
  setting: FolderSetting,
  { code = "", message, syscall = "" }: NodeJS.ErrnoException,
): string {
  if (["EEXIST", "ELOOP", "ENOTDIR"].includes(code)) {
    return `${path} is no folder of its own: remove what lies there`;
  }
  const named = `${setting} (MAYFLY_${setting.toUpperCase()})`;
  if (code === "EPERM" || code === "EACCES") {
    return (
      `the folder ${path} could not be made ready: this user may not ${syscall} there (${code}). ` +
      "Where it is mounted over a network, its server must let root be root (for NFS: export it with no_root_squash); " +
      `elsewhere give it to this user, or name another folder in ${named}`
    );
  }
  return `the folder ${path} could not be made ready: ${message}. Mend that, or name another folder in ${named}`;
}
