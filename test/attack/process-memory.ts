import { type FileHandle, open, readFile } from "node:fs/promises";

/** x86-64 and most arm64 kernels. */
const PAGE_BYTES = 4096;
const ENTRY_BYTES = 8;
const CHUNK_PAGES = 2048;
/** A page's entry in /proc/PID/pagemap: it is there, or was swapped out. What is neither has never been written to. */
const PRESENT = 1n << 63n;
const SWAPPED = 1n << 62n;

/** Memory that is there and could not be read: nothing can be said of it. */
class UnreadMemory extends Error {}

/**
 * Everything a process can write to and so may keep something in, piece by piece: its heap, its stacks, its data, of which
 * only the pages that hold something. Needs the right to trace it. Pages that go away meanwhile are left out.
 *
 * Throws UnreadMemory for a page that stays and is not given; what `open` throws when the process may not be looked at.
 */
export async function* memoryOf(pid: number): AsyncGenerator<Buffer> {
  const [memory, pagemap] = [await open(`/proc/${pid}/mem`, "r"), await open(`/proc/${pid}/pagemap`, "r")];
  try {
    for (const { first, pages } of await writableRanges(pid)) {
      for (let done = 0; done < pages; done += CHUNK_PAGES) {
        yield* heldIn({ memory, pagemap }, first + done, Math.min(CHUNK_PAGES, pages - done));
      }
    }
  } finally {
    await Promise.all([memory.close(), pagemap.close()]);
  }
}

interface Files {
  readonly memory: FileHandle;
  readonly pagemap: FileHandle;
}

/** Pages as their numbers: addresses above what a number holds exactly are the kernel's. */
async function writableRanges(pid: number): Promise<{ first: number; pages: number }[]> {
  const maps = await readFile(`/proc/${pid}/maps`, "latin1");
  return [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)].map(([, from = "", to = ""]) => {
    const first = Number.parseInt(from, 16) / PAGE_BYTES;
    return { first, pages: Number.parseInt(to, 16) / PAGE_BYTES - first };
  });
}

async function* heldIn(files: Files, first: number, pages: number): AsyncGenerator<Buffer> {
  const isHeld = await heldPages(files.pagemap, first, pages);
  for (let from = 0; from < pages; from++) {
    let to = from;
    while (isHeld[to] === true) {
      to += 1;
    }
    if (to > from) {
      yield* readPages(files, first + from, to - from);
      from = to;
    }
  }
}

async function* readPages(files: Files, first: number, pages: number): AsyncGenerator<Buffer> {
  for (let done = 0; done < pages;) {
    const bytes = Buffer.alloc((pages - done) * PAGE_BYTES);
    const read = await files.memory.read(bytes, 0, bytes.length, (first + done) * PAGE_BYTES).catch(() => null);
    const got = Math.floor((read?.bytesRead ?? 0) / PAGE_BYTES);
    if (got > 0) {
      yield bytes.subarray(0, got * PAGE_BYTES);
      done += got;
    } else if ((await heldPages(files.pagemap, first + done, 1))[0] === true) {
      throw new UnreadMemory(`the page at ${((first + done) * PAGE_BYTES).toString(16)} is not given`);
    } else {
      done += 1;
    }
  }
}

async function heldPages(pagemap: FileHandle, first: number, pages: number): Promise<boolean[]> {
  const entries = Buffer.alloc(pages * ENTRY_BYTES);
  const { bytesRead } = await pagemap.read(entries, 0, entries.length, first * ENTRY_BYTES);
  return Array.from(
    { length: Math.floor(bytesRead / ENTRY_BYTES) },
    (_, page) => (entries.readBigUInt64LE(page * ENTRY_BYTES) & (PRESENT | SWAPPED)) !== 0n,
  );
}
