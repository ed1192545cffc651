import { loadDoorKeys } from "../broker/enrolment/door-keys.ts";
import { becomeAccount, readAccounts } from "../host/account.ts";
import { systemClock } from "../host/clock.ts";
import { prepareFolders } from "../process/parts.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface FleetPinsFlags {
  readonly config?: string;
  readonly state?: string;
  readonly json?: boolean;
}

/**
 * `mayfly fleet pins`: the pins of the broker's present key and of the next, as `mayfly image build --pins` takes them.
 * Makes the keys where there are none, as the broker would. Started as root this process is the broker's user afterwards.
 */
export async function fleetPins(terminal: Terminal, flags: FleetPinsFlags): Promise<number> {
  const { stateDir, sharedDir } = loadSettings(terminal, flags);
  const accounts = terminal.isRoot ? readAccounts() : null;
  prepareFolders(stateDir, sharedDir, accounts);
  if (accounts !== null) {
    becomeAccount(accounts.broker);
  }
  const { pins } = await loadDoorKeys(`${sharedDir}/broker/door`, systemClock.now());
  terminal.stdout(flags.json === true ? `${JSON.stringify({ pins })}\n` : `${pins.join(",")}\n`);
  return 0;
}
