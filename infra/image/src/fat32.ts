import { strict as assert } from "node:assert";

const SECTOR_BYTES = 512;
/** One sector each: FAT32 is told from FAT16 by having more than 65,525 clusters, and this is the least they can take. */
const CLUSTERS_MIN = 65_536;
const RESERVED_SECTORS = 32;
const FATS = 2;
const ENTRY_BYTES = 32;
const FIRST_CLUSTER = 2;
const END_OF_CHAIN = 0x0fff_ffff;
const MEDIA = 0xf8;
const DIRECTORY = 0x10;
const ARCHIVE = 0x20;
const VOLUME_LABEL = 0x08;
/** 1980-01-01, the first day that FAT knows. */
const DATE = 0x0021;
const SHORT_NAME = /^[A-Z0-9]{1,8}(?:\.[A-Z0-9]{1,3})?$/;

/**
 * A FAT32 file system (Microsoft's "FAT: General Overview of On-Disk Format", 1.03) with one file at the end of a chain
 * of folders, which is what UEFI boots from. As small as FAT32 can be. Equal input gives equal bytes.
 *
 * @param options.path Folders and file in capitals, at most 8 and 3 characters each.
 * @param options.label Eleven characters at most, capitals.
 * @param options.hiddenSectors The sectors of the disk before it.
 */
export function packFat32(options: {
  path: readonly string[];
  data: Uint8Array;
  id: number;
  label: string;
  hiddenSectors: number;
}): Buffer {
  const { path, data, label } = options;
  assert(path.length > 0 && path.every((name) => SHORT_NAME.test(name)), "A path of short names");
  const folders = path.length;
  const fileClusters = Math.ceil(data.length / SECTOR_BYTES);
  const used = folders + fileClusters;
  const clusters = Math.max(CLUSTERS_MIN, used);
  const fatSectors = Math.ceil(((clusters + FIRST_CLUSTER) * 4) / SECTOR_BYTES);
  const dataAt = RESERVED_SECTORS + FATS * fatSectors;
  const volume = Buffer.alloc((dataAt + clusters) * SECTOR_BYTES);

  const boot = packBootSector({ ...options, sectors: dataAt + clusters, fatSectors });
  const info = packInfo({ free: clusters - used, next: FIRST_CLUSTER + used });
  for (const at of [0, BACKUP_AT]) {
    boot.copy(volume, at * SECTOR_BYTES);
    info.copy(volume, (at + 1) * SECTOR_BYTES);
  }
  for (let copy = 0; copy < FATS; copy++) {
    writeFat(volume.subarray((RESERVED_SECTORS + copy * fatSectors) * SECTOR_BYTES), { folders, fileClusters });
  }
  for (const [depth, name] of path.entries()) {
    const isFile = depth === folders - 1;
    // Each folder takes one cluster, and the file comes right behind them.
    const target = FIRST_CLUSTER + depth + 1;
    const child = packEntry({
      name: shortName(name),
      attributes: isFile ? ARCHIVE : DIRECTORY,
      cluster: isFile && fileClusters === 0 ? 0 : target,
      size: isFile ? data.length : 0,
    });
    const own = depth === 0 ? packLabel(label) : packDots(FIRST_CLUSTER + depth);
    Buffer.concat([...own, child]).copy(volume, (dataAt + depth) * SECTOR_BYTES);
  }
  volume.set(data, (dataAt + folders) * SECTOR_BYTES);
  return volume;
}

/** Where the copy of the first sectors stands, by custom. */
const BACKUP_AT = 6;

function packBootSector(options: {
  sectors: number;
  fatSectors: number;
  hiddenSectors: number;
  id: number;
  label: string;
}): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  Buffer.from([0xeb, 0x58, 0x90]).copy(sector);
  sector.write("MAYFLY  ", 3, "latin1");
  sector.writeUInt16LE(SECTOR_BYTES, 11);
  sector.writeUInt8(1, 13);
  sector.writeUInt16LE(RESERVED_SECTORS, 14);
  sector.writeUInt8(FATS, 16);
  sector.writeUInt8(MEDIA, 21);
  // Sectors of a track and heads: for programs that still count in them.
  sector.writeUInt16LE(63, 24);
  sector.writeUInt16LE(255, 26);
  sector.writeUInt32LE(options.hiddenSectors, 28);
  sector.writeUInt32LE(options.sectors, 32);
  sector.writeUInt32LE(options.fatSectors, 36);
  sector.writeUInt32LE(FIRST_CLUSTER, 44);
  sector.writeUInt16LE(1, 48);
  sector.writeUInt16LE(BACKUP_AT, 50);
  sector.writeUInt8(0x80, 64);
  sector.writeUInt8(0x29, 66);
  sector.writeUInt32LE(options.id, 67);
  sector.write(options.label.padEnd(11).slice(0, 11), 71, "latin1");
  sector.write("FAT32   ", 82, "latin1");
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

function packInfo({ free, next }: { free: number; next: number }): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.writeUInt32LE(0x4161_5252, 0);
  sector.writeUInt32LE(0x6141_7272, 484);
  sector.writeUInt32LE(free, 488);
  sector.writeUInt32LE(free === 0 ? 0xffff_ffff : next, 492);
  sector.writeUInt32LE(0xaa55_0000, 508);
  return sector;
}

function writeFat(fat: Buffer, { folders, fileClusters }: { folders: number; fileClusters: number }): void {
  fat.writeUInt32LE(0x0fff_ff00 | MEDIA, 0);
  fat.writeUInt32LE(END_OF_CHAIN, 4);
  for (let folder = 0; folder < folders; folder++) {
    fat.writeUInt32LE(END_OF_CHAIN, (FIRST_CLUSTER + folder) * 4);
  }
  const first = FIRST_CLUSTER + folders;
  for (let index = 0; index < fileClusters; index++) {
    const next = index === fileClusters - 1 ? END_OF_CHAIN : first + index + 1;
    fat.writeUInt32LE(next, (first + index) * 4);
  }
}

function packLabel(label: string): Buffer[] {
  return [packEntry({ name: label.padEnd(11).slice(0, 11), attributes: VOLUME_LABEL, cluster: 0, size: 0 })];
}

/** A folder's names for itself and for the one above, which is 0 where that is the root. */
function packDots(own: number): Buffer[] {
  const above = own - 1 === FIRST_CLUSTER ? 0 : own - 1;
  return [
    packEntry({ name: ".".padEnd(11), attributes: DIRECTORY, cluster: own, size: 0 }),
    packEntry({ name: "..".padEnd(11), attributes: DIRECTORY, cluster: above, size: 0 }),
  ];
}

function packEntry(options: { name: string; attributes: number; cluster: number; size: number }): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry.write(options.name, 0, 11, "latin1");
  entry.writeUInt8(options.attributes, 11);
  for (const at of [16, 18, 24]) {
    entry.writeUInt16LE(DATE, at);
  }
  entry.writeUInt16LE(options.cluster >>> 16, 20);
  entry.writeUInt16LE(options.cluster & 0xffff, 26);
  entry.writeUInt32LE(options.size, 28);
  return entry;
}

function shortName(name: string): string {
  const [base = "", extension = ""] = name.split(".");
  return `${base.padEnd(8)}${extension.padEnd(3)}`;
}
