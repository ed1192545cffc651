import { closeSync, fstatSync, readSync } from "node:fs";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock } from "../host/clock.ts";
import { listenOnSocket } from "../host/listen.ts";
import { createLog } from "../host/log.ts";
import { createPemAppKey } from "../signer/app-key.ts";
import { openSigner } from "../signer/open-signer.ts";
import { buildSignerServer } from "../signer/signer-server.ts";
import type { SignerSettings } from "./settings.ts";
import { sockets } from "./sockets.ts";

/** The descriptor that the private key's file is inherited on. */
const KEY_DESCRIPTOR = 4;
/** A key of 16,384 bits has 13 kB in PEM. */
const KEY_BYTES_MAX = 64 * 1024;

/** The App's private key: read before root is given up, from a file that its supervisor opened and did not read. */
export function readPrivateKey(): string {
  const { size } = fstatSync(KEY_DESCRIPTOR);
  const buffer = Buffer.alloc(Math.min(size, KEY_BYTES_MAX));
  const bytes = readSync(KEY_DESCRIPTOR, buffer, 0, buffer.length, 0);
  closeSync(KEY_DESCRIPTOR);
  return buffer.toString("utf8", 0, bytes);
}

/** The signer's process: the only place where the App's private key and the receipts' key are. */
export async function runSigner(terminal: Terminal, settings: SignerSettings, privateKey: string): Promise<number> {
  const { stateDir, url, appId } = settings;
  const { log, hide } = createLog({ level: settings.logLevel });
  hide(privateKey);
  const signer = await openSigner({
    folder: `${stateDir}/signer`,
    url,
    appId,
    key: createPemAppKey(privateKey),
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
