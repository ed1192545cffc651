import { fileURLToPath } from "node:url";
import type { Ec2Fake } from "../../../fakes/ec2/server.ts";
import { say, type Script } from "../../../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../../../support/world.ts";
import type { AttackContext } from "../../row.ts";
import { startEc2World } from "./ec2-world.ts";

const dumpable = fileURLToPath(new URL("../../../support/dumpable-service.ts", import.meta.url));

/** A service that machine rows share, and what its model answers. */
export interface MachineWorld {
  readonly world: TestWorld;
  /** The newest match counts. */
  answer(when: RegExp, script: Script): void;
  /** Where its machines are instances; null where they are on this host. */
  readonly ec2: Ec2Fake | null;
}

/**
 * `dumpable`: the memory of its machines can be written out. `plain`: a service as it is installed. `ec2`: its machines
 * are instances of the stand-in, which come in through the broker's door.
 */
export type WorldKind = "dumpable" | "plain" | "ec2";

/** An operator who allows everything there is. */
const allowed = { MAYFLY_SAFETY_STRATEGIES: "unprivileged-user,drop-sudo,read-only,unsafe" };

const worlds = new WeakMap<AttackContext, Map<WorldKind, Promise<MachineWorld>>>();

/** One of each kind for all rows, started when it is first asked for and ended by the driver. */
export function machineWorld(context: AttackContext, kind: WorldKind): Promise<MachineWorld> {
  const mine = worlds.get(context) ?? new Map<WorldKind, Promise<MachineWorld>>();
  worlds.set(context, mine);
  const known = mine.get(kind) ?? start(context, kind);
  mine.set(kind, known);
  return known;
}

async function start(context: AttackContext, kind: WorldKind): Promise<MachineWorld> {
  const scripts: { when: RegExp; script: Script }[] = [];
  const answer: MachineWorld["answer"] = (when, script) => void scripts.unshift({ when, script });
  const options = { script: [say("Done.")], scripts };
  if (kind === "ec2") {
    const { world, ec2, close } = await startEc2World({ ...options, environment: allowed });
    context.atEnd(close);
    return { world, answer, ec2 };
  }
  const world = await startWorld({
    ...options,
    environment: { ...allowed, MAYFLY_MACHINE_MEMORY_MIB: "1024" },
    ...(kind === "dumpable" ? { entry: dumpable } : {}),
  });
  context.atEnd(() => world.close());
  return { world, answer, ec2: null };
}
