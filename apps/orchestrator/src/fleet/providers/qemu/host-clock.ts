import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Image, measureTscKhz } from "@mayfly/image";
import { z } from "zod";

const cacheSchema = z.strictObject({ bootId: z.string(), tscKhz: z.number().int().positive() });

/**
 * The rate of this host's time stamp counter, kHz, which emulated machines must be told. Measured once (about a second)
 * for each start of the host, and kept in the state folder.
 */
export async function readTscKhz(options: { stateDir: string; image: Image }): Promise<number> {
  const { stateDir, image } = options;
  const file = join(stateDir, "tsc.json");
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  const known = parseCache(await readFile(file, "utf8").catch(() => ""));
  if (known?.bootId === bootId) {
    return known.tscKhz;
  }
  const tscKhz = await measureTscKhz({ kernel: image.kernel });
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await writeFile(file, `${JSON.stringify({ bootId, tscKhz })}\n`, { mode: 0o600 });
  return tscKhz;
}

function parseCache(text: string): z.infer<typeof cacheSchema> | null {
  try {
    return cacheSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
