import { fileURLToPath } from "node:url";
import { say, type Script } from "../../../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../../../support/world.ts";
import type { AttackContext } from "../../row.ts";

const dumpable = fileURLToPath(new URL("../../../support/dumpable-service.ts", import.meta.url));

/** A service that machine rows share, and what its model answers. */
export interface MachineWorld {
  readonly world: TestWorld;
  /** The newest match counts. */
  answer(when: RegExp, script: Script): void;
}

/** `dumpable`: the memory of its machines can be written out. `plain`: a service as it is installed. */
export type WorldKind = "dumpable" | "plain";

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
  const world = await startWorld({
    script: [say("Done.")],
    scripts,
    environment: {
      // An operator who allows everything there is.
      MAYFLY_SAFETY_STRATEGIES: "unprivileged-user,drop-sudo,read-only,unsafe",
      MAYFLY_MACHINE_MEMORY_MIB: "1024",
    },
    ...(kind === "dumpable" ? { entry: dumpable } : {}),
  });
  context.atEnd(() => world.close());
  return { world, answer: (when, script) => void scripts.unshift({ when, script }) };
}
