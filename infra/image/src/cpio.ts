/** One entry of an archive. Paths are relative and given parents first. */
export type CpioEntry =
  | { readonly path: string; readonly type: "directory"; readonly mode: number }
  | { readonly path: string; readonly type: "file"; readonly mode: number; readonly data: Uint8Array };

const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const ALIGNMENT = 4;

/**
 * A cpio archive in the "newc" form that the Linux kernel unpacks as its first file system
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root, times are zero and inode
 * numbers count up, so equal entries give equal bytes.
 */
export function packCpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => packEntry(entry, index + 1));
  return Buffer.concat([...parts, ...packRecord({ name: "TRAILER!!!", inode: 0, mode: 0, links: 1, data: EMPTY })]);
}

const EMPTY = new Uint8Array();

function packEntry(entry: CpioEntry, inode: number): Buffer[] {
  return entry.type === "directory"
    ? packRecord({ name: entry.path, inode, mode: DIRECTORY | entry.mode, links: 2, data: EMPTY })
    : packRecord({ name: entry.path, inode, mode: REGULAR | entry.mode, links: 1, data: entry.data });
}

function packRecord(record: { name: string; inode: number; mode: number; links: number; data: Uint8Array }): Buffer[] {
  const name = Buffer.from(`${record.name}\0`);
  const fields = [
    record.inode,
    record.mode,
    0, // owner
    0, // group
    record.links,
    0, // time of last change
    record.data.length,
    0, // device numbers of the file system and of the entry, major and minor
    0,
    0,
    0,
    name.length,
    0, // checksum: unused in this form
  ];
  const head = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return [pad(Buffer.concat([head, name])), pad(Buffer.from(record.data))];
}

function pad(data: Buffer): Buffer {
  const missing = (ALIGNMENT - (data.length % ALIGNMENT)) % ALIGNMENT;
  return missing === 0 ? data : Buffer.concat([data, Buffer.alloc(missing)]);
}
