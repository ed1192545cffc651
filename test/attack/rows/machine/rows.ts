import type { Row } from "../../row.ts";
import { controlFilesOfTheHead, relayStopped, rightsInTheMachine } from "./as-codex.ts";
import { disguisedDisk, emulator, residue } from "./emulator.ts";
import { outlivingProcess } from "./ending.ts";
import { bombsInTheMachine, consoleFlood } from "./floods.ts";
import { survivorsOnEc2 } from "./ec2-survivors.ts";
import { rootInTheMachine, secretsInMemory } from "./secrets.ts";
import { stolenCapability } from "./stolen.ts";
import { survivors } from "./survivors.ts";
import { namesLookedUp, namesOnEc2, networkOfTheMachine, networkOnEc2 } from "./ways-out.ts";

/**
 * Rows that are tried in a machine that has booted. Most of them read what two runs have found: one of Codex as it is by
 * default, one of Codex as root. Both are still alive when the rows up to T35 look at them.
 */
export const machineRows: readonly Row[] = [
  controlFilesOfTheHead,
  secretsInMemory,
  rightsInTheMachine,
  rootInTheMachine,
  networkOfTheMachine,
  namesLookedUp,
  stolenCapability,
  relayStopped,
  survivors,
  residue,
  disguisedDisk,
  emulator,
  consoleFlood,
  bombsInTheMachine,
  outlivingProcess,
  networkOnEc2,
  namesOnEc2,
  survivorsOnEc2,
];
