import { homedir, userInfo } from "node:os";
import { fileURLToPath } from "node:url";

import { defaultCacheDir } from "../cache.ts";
import { ensureImage } from "../ensure-image.ts";
import type { Image } from "../verify.ts";

/** The image of this source with the probing stand-in for the agent, from the usual cache. */
export function ensureProbeImage(): Promise<Image> {
  return ensureImage({ cacheDir: usualCacheDir(), agentBundle: probeAgent });
}

const probeAgent = fileURLToPath(new URL("probe-agent.mjs", import.meta.url));

export function usualCacheDir(): string {
  return defaultCacheDir({ uid: userInfo().uid, home: homedir(), xdgCacheHome: process.env["XDG_CACHE_HOME"] });
}
