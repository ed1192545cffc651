import { chownSync } from "node:fs";
import type { MachineUser } from "./confinement.ts";
import { places } from "./places.ts";

/**
 * Hands Codex's folders to the user that Codex is. The image gives them to `codex`; in the CLI's own sandbox root is one
 * without root's rights over the files of others, and could not even enter them.
 */
export function giveHome(user: MachineUser): void {
  if (user === "root") {
    for (const folder of [places.home, places.temporary, places.work]) {
      chownSync(folder, 0, 0);
    }
  }
}
