import { crc32 } from "node:zlib";

export const SECTOR_BYTES = 512;
const ENTRIES = 128;
const ENTRY_BYTES = 128;
const HEADER_BYTES = 92;
const NAME_CHARS = 36;
/** The table of partitions, in sectors. */
const TABLE_SECTORS = (ENTRIES * ENTRY_BYTES) / SECTOR_BYTES;
/** The sectors before the first partition can start: a master boot record, a header, the table. */
export const GPT_SECTORS = 2 + TABLE_SECTORS;

export interface Partition {
  /** What it is for, as a GUID. */
  readonly type: string;
  readonly id: string;
  readonly label: string;
  readonly firstSector: number;
  readonly sectors: number;
}

/**
 * A partition table (UEFI specification, chapter 5). Everything in it is given, so equal input gives equal bytes.
 *
 * @returns what stands at the disk's beginning, and what stands at its end.
 */
export function packGpt(options: { id: string; sectors: number; partitions: readonly Partition[] }): {
  start: Buffer;
  end: Buffer;
} {
  const { id, sectors, partitions } = options;
  const table = Buffer.alloc(ENTRIES * ENTRY_BYTES);
  for (const [index, partition] of partitions.entries()) {
    writeEntry(table.subarray(index * ENTRY_BYTES), partition);
  }
  const last = sectors - 1;
  const [first, second] = [
    packHeader({ id, table, sectors, at: 1, other: last, tableAt: 2 }),
    packHeader({ id, table, sectors, at: last, other: 1, tableAt: last - TABLE_SECTORS }),
  ];
  return { start: Buffer.concat([packProtection(sectors), first, table]), end: Buffer.concat([table, second]) };
}

function writeEntry(entry: Buffer, { type, id, label, firstSector, sectors }: Partition): void {
  packGuid(type).copy(entry, 0);
  packGuid(id).copy(entry, 16);
  entry.writeBigUInt64LE(BigInt(firstSector), 32);
  entry.writeBigUInt64LE(BigInt(firstSector + sectors - 1), 40);
  entry.write(label.slice(0, NAME_CHARS), 56, "utf16le");
}

function packHeader(options: {
  id: string;
  table: Buffer;
  sectors: number;
  at: number;
  other: number;
  tableAt: number;
}): Buffer {
  const header = Buffer.alloc(SECTOR_BYTES);
  header.write("EFI PART", 0, "latin1");
  header.writeUInt32LE(0x0001_0000, 8);
  header.writeUInt32LE(HEADER_BYTES, 12);
  header.writeBigUInt64LE(BigInt(options.at), 24);
  header.writeBigUInt64LE(BigInt(options.other), 32);
  header.writeBigUInt64LE(BigInt(GPT_SECTORS), 40);
  header.writeBigUInt64LE(BigInt(options.sectors - GPT_SECTORS), 48);
  packGuid(options.id).copy(header, 56);
  header.writeBigUInt64LE(BigInt(options.tableAt), 72);
  header.writeUInt32LE(ENTRIES, 80);
  header.writeUInt32LE(ENTRY_BYTES, 84);
  header.writeUInt32LE(crc32(options.table), 88);
  // Over the header with nothing in this place.
  header.writeUInt32LE(crc32(header.subarray(0, HEADER_BYTES)), 16);
  return header;
}

/** An old table that says the whole disk is taken, for programs that know no other. */
function packProtection(sectors: number): Buffer {
  const record = Buffer.alloc(SECTOR_BYTES);
  const entry = record.subarray(446);
  // From the second sector, in the old counting of cylinders, heads and sectors; of type 0xee; to where that ends.
  Buffer.from([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff]).copy(entry);
  entry.writeUInt32LE(1, 8);
  entry.writeUInt32LE(Math.min(sectors - 1, 0xffff_ffff), 12);
  record.writeUInt16LE(0xaa55, 510);
  return record;
}

/** A GUID's first three parts are numbers, the lowest byte first; the rest are bytes. */
function packGuid(guid: string): Buffer {
  const bytes = Buffer.from(guid.replaceAll("-", ""), "hex");
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}
