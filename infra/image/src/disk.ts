import { open, stat } from "node:fs/promises";

import { AppError } from "@mayfly/core";

import { packFat32 } from "./fat32.ts";
import { GPT_SECTORS, packGpt, type Partition, SECTOR_BYTES } from "./gpt.ts";
import { appendSections } from "./pe.ts";

/** What a disk is made of. The kernel is the one that UEFI starts. */
export interface DiskParts {
  readonly stub: Buffer;
  readonly kernel: Buffer;
  readonly initrd: Buffer;
  readonly commandLine: string;
  /** The file of the root file system. */
  readonly root: string;
}

/** What its volume on EC2 has room for (`infra/cdk`), and twelve times what it takes. */
const DISK_BYTES_MAX = 8 * 1024 ** 3;
/** The kernel's own bound on x86 (COMMAND_LINE_SIZE), with its closing zero. */
const COMMAND_LINE_BYTES_MAX = 2048;
/** Partitions start where blocks of a snapshot do (512 KiB), so that a changed initrd leaves the root's blocks alone. */
const ALIGNMENT_SECTORS = 1024 ** 2 / SECTOR_BYTES;
const COPY_BYTES = 1024 ** 2;
/** Any fixed ones will do: no two of these disks are ever in one machine. */
const ids = {
  disk: "6d617966-6c79-4000-8000-6469736b0000",
  esp: "6d617966-6c79-4000-8000-657370000000",
  root: "6d617966-6c79-4000-8000-726f6f740001",
  fat: 0x6d61_7966,
} as const;
/** UEFI's own, and that of a root file system on x86-64 (UAPI Group's Discoverable Partitions Specification). */
const types = {
  esp: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
  root: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
} as const;
/** What guest/platform-ec2 looks for. */
const ROOT_LABEL = "mayfly-root";

/**
 * Writes a disk that boots by UEFI: one program with kernel, initrd and command line, which the firmware starts because
 * of its name, and the root file system in a partition of its own. Equal parts give equal bytes.
 *
 * @returns its size in bytes, a multiple of a mebibyte.
 * @throws AppError IMAGE_BUILD_FAILED when a part is too large.
 */
export async function writeDisk(file: string, parts: DiskParts): Promise<number> {
  const program = packProgram(parts);
  const espAt = up(GPT_SECTORS);
  const esp = packFat32({
    path: ["EFI", "BOOT", "BOOTX64.EFI"],
    data: program,
    id: ids.fat,
    label: "MAYFLY",
    hiddenSectors: espAt,
  });
  const rootBytes = (await stat(parts.root)).size;
  const espSectors = esp.length / SECTOR_BYTES;
  const rootSectors = Math.ceil(rootBytes / SECTOR_BYTES);
  const rootAt = up(espAt + espSectors);
  const sectors = up(rootAt + rootSectors + GPT_SECTORS);
  const bytes = sectors * SECTOR_BYTES;
  if (bytes > DISK_BYTES_MAX) {
    throw new AppError("IMAGE_BUILD_FAILED", `The disk would have ${bytes} bytes; ${DISK_BYTES_MAX} are allowed`);
  }
  const partitions: Partition[] = [
    { type: types.esp, id: ids.esp, label: "mayfly-boot", firstSector: espAt, sectors: espSectors },
    { type: types.root, id: ids.root, label: ROOT_LABEL, firstSector: rootAt, sectors: rootSectors },
  ];
  const gpt = packGpt({ id: ids.disk, sectors, partitions });
  const disk = await open(file, "wx");
  try {
    await disk.truncate(bytes);
    await disk.write(gpt.start, 0, gpt.start.length, 0);
    await disk.write(esp, 0, esp.length, espAt * SECTOR_BYTES);
    await copyInto(disk, parts.root, rootAt * SECTOR_BYTES);
    await disk.write(gpt.end, 0, gpt.end.length, bytes - gpt.end.length);
    await disk.sync();
  } finally {
    await disk.close();
  }
  return bytes;
}

function packProgram({ stub, kernel, initrd, commandLine }: DiskParts): Buffer {
  if (Buffer.byteLength(commandLine) >= COMMAND_LINE_BYTES_MAX || !/^[\x20-\x7e]*$/.test(commandLine)) {
    throw new AppError("IMAGE_BUILD_FAILED", "The kernel command line is too long, or has more than plain letters");
  }
  return appendSections(stub, [
    { name: ".cmdline", data: Buffer.from(commandLine) },
    { name: ".linux", data: kernel },
    { name: ".initrd", data: initrd },
  ]);
}

async function copyInto(disk: Awaited<ReturnType<typeof open>>, file: string, at: number): Promise<void> {
  const source = await open(file, "r");
  try {
    const buffer = Buffer.alloc(COPY_BYTES);
    for (let done = 0; ;) {
      const { bytesRead } = await source.read(buffer, 0, buffer.length, done);
      if (bytesRead === 0) {
        return;
      }
      await disk.write(buffer, 0, bytesRead, at + done);
      done += bytesRead;
    }
  } finally {
    await source.close();
  }
}

function up(sectors: number): number {
  return Math.ceil(sectors / ALIGNMENT_SECTORS) * ALIGNMENT_SECTORS;
}
