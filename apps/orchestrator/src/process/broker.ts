import { Secret } from "@mayfly/core";
import { buildBroker } from "../broker/broker.ts";
import type { Terminal } from "../cli/terminal.ts";
import { machineFolder } from "../fleet/providers/qemu/machine-folder.ts";
import { systemClock } from "../host/clock.ts";
import { randomIds } from "../host/ids.ts";
import { listenOnSocket } from "../host/listen.ts";
import { createLog } from "../host/log.ts";
import { embeddedAddress, embeddedRedisFolder } from "../store/embedded-redis.ts";
import type { BrokerSettings } from "./settings.ts";
import { sockets } from "./sockets.ts";

/**
 * The broker's process: what every machine speaks to, and the only place where the model's credential is. It has no
 * right on GitHub, so nothing that comes out of a machine is parsed where a token is.
 */
export async function runBroker(terminal: Terminal, settings: BrokerSettings): Promise<number> {
  const { stateDir, redisUrl, door, model, budgets } = settings;
  const { log, hide } = createLog({ level: settings.logLevel });
  for (const secret of [redisUrl, ...Object.values(model.issuer)]) {
    if (secret instanceof Secret) {
      hide(secret.reveal());
    }
  }
  const broker = await buildBroker({
    stateDir,
    redis: redisUrl === null ? embeddedAddress(embeddedRedisFolder(stateDir)) : { url: redisUrl.reveal() },
    dispatchSocket: sockets.dispatch(stateDir),
    channelFolder: (id) => machineFolder(stateDir, id).channel,
    ...(door === null ? {} : { door }),
    model,
    budgets,
    clock: systemClock,
    ids: randomIds,
    log,
  });
  await broker.start();
  await listenOnSocket(broker.control, sockets.broker(stateDir), "group");
  const why = await new Promise<"stopped" | "orphaned">((resolve) => {
    terminal.onStop(() => resolve("stopped"));
    terminal.onOrphaned(() => resolve("orphaned"));
  });
  if (why === "orphaned") {
    // Another broker may be at the sockets already: what is left to do is to leave no credential behind.
    await broker.revokeAll();
    return 1;
  }
  await broker.close();
  return 0;
}
