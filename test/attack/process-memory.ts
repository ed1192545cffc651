import { open, readdir, readFile } from "node:fs/promises";

/** One process of a service. */
export interface FoundProcess {
  readonly pid: number;
  readonly parent: number;
  readonly args: readonly string[];
}

/** Every process of this host that may be looked at. */
export async function listProcesses(): Promise<FoundProcess[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [status, line] = await Promise.all(
        ["status", "cmdline"].map((name) => readFile(`/proc/${pid}/${name}`, "latin1").catch(() => null)),
      );
      const parent = /^PPid:\s*(\d+)$/m.exec(status ?? "")?.[1];
      return parent === undefined || line === null || line === undefined
        ? []
        : [{ pid, parent: Number(parent), args: line.split("\0").slice(0, -1) }];
    }),
  );
  return found.flat();
}

const CHUNK_BYTES = 8 * 1024 * 1024;

/**
 * Everything a process can write to and so may keep something in, piece by piece: its heap, its stacks, its data. Needs
 * the right to trace it. Pages that go away meanwhile are left out.
 */
export async function* memoryOf(pid: number): AsyncGenerator<Buffer> {
  const maps = await readFile(`/proc/${pid}/maps`, "latin1");
  const file = await open(`/proc/${pid}/mem`, "r");
  try {
    for (const line of maps.split("\n")) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      if (from === undefined || to === undefined) {
        continue;
      }
      const end = BigInt(`0x${to}`);
      for (let at = BigInt(`0x${from}`); at < end; at += BigInt(CHUNK_BYTES)) {
        const left = end - at;
        const bytes = Buffer.alloc(left < BigInt(CHUNK_BYTES) ? Number(left) : CHUNK_BYTES);
        const read = await file.read(bytes, 0, bytes.length, at as unknown as number).catch(() => null);
        if (read !== null && read.bytesRead > 0) {
          yield bytes.subarray(0, read.bytesRead);
        }
      }
    }
  } finally {
    await file.close();
  }
}
