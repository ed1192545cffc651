import { createHash } from "node:crypto";
import { AppError, type MachineId } from "@mayfly/core";
import type { SubordinateRange } from "../../../confine/service-user.ts";
import { uidOffsets } from "../../../confine/uid-offsets.ts";

/**
 * A uid offset for a machine that nothing else has. Where to look first follows from the id, so that services of one
 * user with different state folders, which do not see each other's records, hardly ever start at the same place; their
 * running processes are seen. Throws MACHINE_LAUNCH_FAILED when the whole range is taken.
 *
 * @param options.taken Offsets written down for machines that are there.
 * @param options.uids Real uids of all processes.
 */
export function chooseUidOffset(options: {
  id: MachineId;
  subuids: SubordinateRange;
  taken: ReadonlySet<number>;
  uids: ReadonlySet<number>;
}): number {
  const { id, subuids, taken, uids } = options;
  const { first } = uidOffsets.machines;
  const span = subuids.count - first;
  const start = createHash("sha256").update(id).digest().readUInt32BE(0);
  for (let step = 0; step < span; step++) {
    const offset = first + ((start + step) % span);
    if (!taken.has(offset) && !uids.has(subuids.first + offset)) {
      return offset;
    }
  }
  throw new AppError("MACHINE_LAUNCH_FAILED", "every subordinate uid of the service's user is in use");
}
