import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { type CpioEntry, packCpio } from "./cpio.ts";
import { sha256 } from "./digest.ts";
import { rootRecipe } from "./recipe.ts";

const guestDir = new URL("../guest/", import.meta.url);

/** Where a machine runs: its devices differ, and how it comes by an address. */
export type Platform = "qemu" | "ec2";

/** The scripts that a machine starts with. */
export interface GuestScripts {
  readonly init: Buffer;
  readonly pid1: Buffer;
  /** Read by init. */
  readonly platform: Buffer;
  /** Called by the DHCP client; null where none is needed. */
  readonly dhcp: Buffer | null;
}

export async function readGuestScripts(platform: Platform): Promise<GuestScripts> {
  const read = (name: string) => readFile(new URL(name, guestDir));
  return {
    init: await read("init"),
    pid1: await read("pid1"),
    platform: await read(`platform-${platform}`),
    dhcp: platform === "ec2" ? await read("dhcp") : null,
  };
}

export function digestScripts({ init, pid1, platform, dhcp }: GuestScripts): string {
  const scripts = dhcp === null ? [init, pid1, platform] : [init, pid1, platform, dhcp];
  return sha256(scripts.map((script) => sha256(script)).join(" "));
}

/**
 * The first file system of a machine: busybox, modules, scripts and the agent. The agent travels here and not in the
 * root, so that a new agent costs a second and not a new root. Uncompressed: unpacking would only cost time.
 */
export async function packInitrd(options: {
  layerDir: string;
  platform: Platform;
  scripts: GuestScripts;
  agent: Uint8Array;
}): Promise<Buffer> {
  const { layerDir, platform, scripts, agent } = options;
  const wanted = platform === "ec2" ? rootRecipe.ec2Modules : rootRecipe.modules;
  const names = wanted.map((module) => basename(module));
  const modules = await Promise.all(names.map((name) => readFile(join(layerDir, "modules", name))));
  const folders = ["bin", "dev", "layer", "lower", "mayfly", "modules", "root", "sys"];
  return packCpio([
    ...folders.map((path): CpioEntry => ({ path, type: "directory", mode: 0o755 })),
    { path: "bin/busybox", type: "file", mode: 0o755, data: await readFile(join(layerDir, "busybox")) },
    { path: "init", type: "file", mode: 0o755, data: scripts.init },
    { path: "platform", type: "file", mode: 0o644, data: scripts.platform },
    ...(scripts.dhcp === null ? [] : [{ path: "dhcp", type: "file", mode: 0o755, data: scripts.dhcp } as const]),
    ...modules.map((data, i): CpioEntry => ({ path: `modules/${names[i]}`, type: "file", mode: 0o644, data })),
    { path: "mayfly/pid1", type: "file", mode: 0o755, data: scripts.pid1 },
    { path: "mayfly/agent.mjs", type: "file", mode: 0o644, data: agent },
  ]);
}
