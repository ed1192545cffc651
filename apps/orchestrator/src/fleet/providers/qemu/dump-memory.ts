import { chmod, copyFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MachineFolder } from "./machine-folder.ts";
import { withQmp } from "./qmp.ts";

/** A GiB takes two seconds. */
const DUMP_MS = 120_000;

/**
 * Writes the guest's whole memory to a file (an ELF core). The machine must have been launched with `debugDump`; QEMU
 * fills a file that is there already, for it may not create any.
 */
export async function dumpMachineMemory(folder: MachineFolder, toFile: string): Promise<void> {
  const file = join(folder.dump, "memory");
  try {
    await writeFile(file, "");
    await chmod(file, 0o622);
    await withQmp({ folder: folder.qmp, signal: AbortSignal.timeout(DUMP_MS) }, (execute) =>
      execute("dump-guest-memory", { paging: false, protocol: "file:/dump/memory" }),
    );
    await copyFile(file, toFile);
    await chmod(toFile, 0o600);
  } finally {
    await rm(file, { force: true });
  }
}
