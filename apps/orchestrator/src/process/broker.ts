import { Secret } from "@mayfly/core";
import { type Broker, buildBroker } from "../broker/broker.ts";
import type { Terminal } from "../cli/terminal.ts";
import { machineFolder } from "../fleet/providers/qemu/machine-folder.ts";
import { systemClock } from "../host/clock.ts";
import { randomIds } from "../host/ids.ts";
import { listenOnSocket } from "../host/listen.ts";
import { createLog, type ServiceLog } from "../host/log.ts";
import { overSocket } from "../host/socket-client.ts";
import { embeddedAddress, embeddedRedisFolder } from "../store/embedded-redis.ts";
import { openPostRoom, type PostRoom, type Served } from "./post-room.ts";
import type { BrokerSettings } from "./settings.ts";
import { sockets } from "./sockets.ts";

/** It is said once a second; what comes after so long a pause is another time. */
const ANEW_MS = 5_000;

/**
 * The broker's process: what every machine speaks to, and the only place where the model's credential is. It has no
 * right on GitHub, so nothing that comes out of a machine is parsed where a token is.
 */
export async function runBroker(terminal: Terminal, settings: BrokerSettings): Promise<number> {
  const { stateDir, sharedDir, redisUrl, door, model, budgets, setupHosts } = settings;
  const { log, hide } = createLog({ level: settings.logLevel });
  for (const secret of [redisUrl, ...Object.values(model.issuer)]) {
    if (secret instanceof Secret) {
      hide(secret.reveal());
    }
  }
  const redis = redisUrl === null ? embeddedAddress(embeddedRedisFolder(stateDir)) : { url: redisUrl.reveal() };
  const room = settings.spreadAs === null ? null : await openPostRoom(redis);
  const broker = await buildBroker({
    sharedDir,
    redis,
    worker: room?.reach("worker") ?? overSocket(sockets.dispatch(stateDir)),
    channelFolder: (id) => machineFolder(stateDir, id).channel,
    ...(door === null ? {} : { door }),
    model,
    budgets,
    setupHosts,
    clock: systemClock,
    ids: randomIds,
    log,
  });
  const served = await serveAll(room, settings.spreadAs, broker, log);
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
  // Machines are let go first: nobody asks a broker to end channels that has left.
  await broker.close();
  await served?.close();
  room?.close();
  return 0;
}

/** Takes what workers on other hosts ask of this broker. Before any machine can come: each must be told of its end. */
async function serveAll(
  room: PostRoom | null,
  name: string | null,
  broker: Broker,
  log: ServiceLog["log"],
): Promise<Served | null> {
  if (room === null || name === null) {
    return null;
  }
  let aloneAt = -Infinity;
  return room.serve({
    kind: "broker",
    name,
    isNamed: true,
    app: broker.control,
    onAlone() {
      const before = aloneAt;
      aloneAt = performance.now();
      if (aloneAt - before > ANEW_MS) {
        log.warn(
          "Redis has not answered for so long that this broker ends its channels, again and again until it does",
        );
      }
      broker.cutAll().catch((err: unknown) => log.error({ err }, "a channel could not be ended"));
    },
  });
}
