import { closeSync, fstatSync, readSync } from "node:fs";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock } from "../host/clock.ts";
import { listenOnSocket } from "../host/listen.ts";
import { createLog } from "../host/log.ts";
import { type AppKey, createPemAppKey } from "../signer/app-key.ts";
import { openSigner } from "../signer/open-signer.ts";
import { buildSignerServer } from "../signer/signer-server.ts";
import { goWaysToCredentials, reveal } from "./aws-credentials.ts";
import type { AppKeySettings, SignerSettings } from "./settings.ts";
import { sockets } from "./sockets.ts";

/** The descriptor that the private key's file is inherited on. */
const KEY_DESCRIPTOR = 4;
/** A key of 16,384 bits has 13 kB in PEM. */
const KEY_BYTES_MAX = 64 * 1024;

/** What the signer has loaded before root is given up: how to sign as the App. */
export interface LoadedKey {
  /** Texts that no log may show. */
  readonly secrets: readonly string[];
  /** Throws CONFIG_INVALID for a key that is none, APP_KEY_UNAVAILABLE. */
  readonly open: () => Promise<AppKey>;
}

/** Reads the private key, or loads what asking KMS needs: both for root alone to read. */
export async function loadKey(key: AppKeySettings): Promise<LoadedKey> {
  if (key.kind === "file") {
    const pem = readPrivateKey();
    return { secrets: [pem], open: async () => createPemAppKey(pem) };
  }
  // The SDK is loaded for those alone who need it.
  const { createKmsClient, openKmsAppKey } = await import("../signer/kms-app-key.ts");
  const { arn, region, endpoint, aws } = key;
  if (aws === null) {
    await goWaysToCredentials(createKmsClient({ region, endpoint }));
    return { secrets: [], open: () => openKmsAppKey({ kms: createKmsClient({ region, endpoint }), arn }) };
  }
  const credentials = reveal(aws);
  const { secretAccessKey, sessionToken } = credentials;
  return {
    secrets: [secretAccessKey, ...(sessionToken === undefined ? [] : [sessionToken])],
    open: () => openKmsAppKey({ kms: createKmsClient({ region, endpoint, credentials }), arn }),
  };
}

/** From a file that our supervisor opened and did not read. */
function readPrivateKey(): string {
  const { size } = fstatSync(KEY_DESCRIPTOR);
  const buffer = Buffer.alloc(Math.min(size, KEY_BYTES_MAX));
  const bytes = readSync(KEY_DESCRIPTOR, buffer, 0, buffer.length, 0);
  closeSync(KEY_DESCRIPTOR);
  return buffer.toString("utf8", 0, bytes);
}

/** The signer's process: the only place where the App's private key and the receipts' key are. */
export async function runSigner(terminal: Terminal, settings: SignerSettings, loaded: LoadedKey): Promise<number> {
  const { stateDir, url, appId } = settings;
  const { log, hide } = createLog({ level: settings.logLevel });
  loaded.secrets.forEach(hide);
  const signer = await openSigner({
    folder: `${stateDir}/signer`,
    url,
    appId,
    key: await loaded.open(),
    clock: systemClock,
    log,
  });
  const server = buildSignerServer(signer, log);
  await listenOnSocket(server, sockets.signer(stateDir), "who comes in");
  await new Promise<void>((resolve) => terminal.onStop(resolve));
  await server.close();
  // The service has ended before us.
  await signer.revokeAll();
  await signer.close();
  return 0;
}
