import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { limits } from "@mayfly/core/limits";
import { serveAttempt } from "./attempt.ts";
import { createChannel } from "./channel.ts";
import { claimAttempt, introduce } from "./claim.ts";
import { createConfinement } from "./confinement.ts";
import { messageOf } from "./failure.ts";
import { giveHome } from "./home.ts";
import { createNetwork, listenInside } from "./network.ts";
import { RELAY_PORT, SETUP_PROXY_PORT, places } from "./places.ts";
import { bundledPrograms } from "./programs.ts";
import { createRelay } from "./relay.ts";
import { parseSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { createSetupProxy } from "./setup-proxy.ts";
import type { SetupProxy } from "./setup-proxy.ts";
import { strategyFor } from "./strategies.ts";
import { plainTransport } from "./transport.ts";
import type { Transport } from "./transport.ts";
import { createWatchdog } from "./watchdog.ts";

// The machine's own last word until an attempt sets a nearer one: the longest that anyone may want of it.
const LIFETIME_S = (limits.idleMachineMs + 24 * 60 * 60_000) / 1_000;

/** One machine's life: wait for an attempt, serve it, end. Process 1 powers the machine off as soon as this has ended. */
async function main(): Promise<void> {
  const settings = parseSettings(readFileSync("/proc/cmdline", "utf8"));
  const { brokers } = settings;
  // Over mutual TLS it is the transport that knows where to dial.
  const [broker] = brokers;
  const watchdog = createWatchdog();
  watchdog.arm(LIFETIME_S);
  const transport = await findTransport(settings);
  const channel = createChannel(broker, transport);
  const hello = introduce();
  const programs = bundledPrograms();
  // Both at once: a machine that waits is ready when its attempt comes.
  const [assignment, relay] = await Promise.all([claimAttempt(channel, hello), prepareRelay()]);
  watchdog.arm(assignment.seconds + (limits.resultMs + limits.machineGraceMs) / 1_000);
  const { user } = strategyFor(assignment.codex.safety_strategy);
  giveHome(user);
  const confinement = createConfinement({ network: places.network, user });
  const codexVersion = hello.codex;
  await serveAttempt({ channel, confinement, relay, programs, brokers, codexVersion, openSetupProxy }, assignment);

  async function openSetupProxy(capability: string): Promise<SetupProxy> {
    const { network } = places;
    const listener = await listenInside({ network, port: SETUP_PROXY_PORT, helper: programs.listen });
    return createSetupProxy({ listener, broker, capability, transport });
  }

  async function prepareRelay(): Promise<ReturnType<typeof createRelay>> {
    mkdirSync(places.run, { recursive: true });
    chmodSync(places.run, 0o711);
    await createNetwork(places.network);
    const listener = await listenInside({ network: places.network, port: RELAY_PORT, helper: programs.listen });
    return createRelay({ listener, broker, transport });
  }
}

/** How the broker is spoken to. A machine on a link of its own need not load TLS, which takes time where it is emulated. */
async function findTransport({ brokers, pins }: Settings): Promise<Transport> {
  if (pins === null) {
    return plainTransport;
  }
  const { enrol } = await import("./enrol.ts");
  return enrol({ brokers, pins });
}

try {
  await main();
  process.exit(0);
} catch (error) {
  console.error(`mayfly agent: ${messageOf(error)}`);
  process.exit(1);
}
