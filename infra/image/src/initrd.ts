import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { type CpioEntry, packCpio } from "./cpio.ts";
import { sha256 } from "./digest.ts";
import { rootRecipe } from "./recipe.ts";

const guestDir = new URL("../guest/", import.meta.url);

/** The scripts that a machine starts with. */
export interface GuestScripts {
  readonly init: Buffer;
  readonly pid1: Buffer;
}

export async function readGuestScripts(): Promise<GuestScripts> {
  const [init, pid1] = await Promise.all([readFile(new URL("init", guestDir)), readFile(new URL("pid1", guestDir))]);
  return { init, pid1 };
}

export function digestScripts(scripts: GuestScripts): string {
  return sha256(`${sha256(scripts.init)} ${sha256(scripts.pid1)}`);
}

/**
 * The first file system of a machine: busybox, modules, scripts and the agent. The agent travels here and not in the
 * root, so that a new agent costs a second and not a new root. Uncompressed: unpacking would only cost time.
 */
export async function packInitrd(options: {
  layerDir: string;
  scripts: GuestScripts;
  agent: Uint8Array;
}): Promise<Buffer> {
  const { layerDir, scripts, agent } = options;
  const names = rootRecipe.modules.map((module) => basename(module));
  const modules = await Promise.all(names.map((name) => readFile(join(layerDir, "modules", name))));
  const folders = ["bin", "dev", "layer", "lower", "mayfly", "modules", "root", "sys"];
  return packCpio([
    ...folders.map((path): CpioEntry => ({ path, type: "directory", mode: 0o755 })),
    { path: "bin/busybox", type: "file", mode: 0o755, data: await readFile(join(layerDir, "busybox")) },
    { path: "init", type: "file", mode: 0o755, data: scripts.init },
    ...modules.map((data, i): CpioEntry => ({ path: `modules/${names[i]}`, type: "file", mode: 0o644, data })),
    { path: "mayfly/pid1", type: "file", mode: 0o755, data: scripts.pid1 },
    { path: "mayfly/agent.mjs", type: "file", mode: 0o644, data: agent },
  ]);
}
