import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { isAppError } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { sha256 } from "./digest.ts";
import { type DiskParts, writeDisk } from "./disk.ts";
import { appendSections } from "./pe.ts";
import { bareProgram } from "./testing/bare-program.ts";

const run = promisify(execFile);
const SECTOR_BYTES = 512;

let folder: string;
let parts: DiskParts;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-disk-"));
  const root = join(folder, "root.erofs");
  await writeFile(root, Buffer.alloc(3_000_001, "root "));
  parts = {
    stub: bareProgram(),
    kernel: Buffer.alloc(70_000, "kernel "),
    initrd: Buffer.alloc(1_234_567, "initrd "),
    commandLine: "console=ttyS0 mayfly.broker=10.0.1.10:8443",
    root,
  };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Table {
  readonly partitiontable: {
    readonly label: string;
    readonly id: string;
    readonly partitions: readonly { start: number; size: number; type: string; uuid: string; name: string }[];
  };
}

async function tableOf(disk: string): Promise<Table["partitiontable"]> {
  const { stdout } = await run("/usr/sbin/sfdisk", ["--json", disk]);
  return (JSON.parse(stdout) as Table).partitiontable;
}

/** The bytes of a partition, by the table that another program reads. */
async function partition(disk: string, index: number): Promise<Buffer> {
  const { start = 0, size = 0 } = (await tableOf(disk)).partitions[index] ?? {};
  return (await readFile(disk)).subarray(start * SECTOR_BYTES, (start + size) * SECTOR_BYTES);
}

async function isRefused(work: () => unknown): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    return isAppError(error, "IMAGE_BUILD_FAILED");
  }
}

describe("a disk for EC2", () => {
  it("has a partition table without a fault, with the root under the label that a machine looks for", async () => {
    const disk = join(folder, "disk.raw");
    const bytes = await writeDisk(disk, parts);
    expect((await stat(disk)).size).toBe(bytes);
    expect(bytes % 1024 ** 2).toBe(0);
    expect((await run("/usr/sbin/sfdisk", ["--verify", disk])).stdout).toContain("No errors detected.");
    const { label, partitions } = await tableOf(disk);
    expect(label).toBe("gpt");
    expect(partitions.map(({ name, type }) => [name, type])).toEqual([
      ["mayfly-boot", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"],
      ["mayfly-root", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"],
    ]);
    expect(partitions.every(({ start }) => (start * SECTOR_BYTES) % 1024 ** 2 === 0)).toBe(true);
    const root = await readFile(parts.root);
    expect((await partition(disk, 1)).subarray(0, root.length).equals(root)).toBe(true);
  });

  it("has a boot partition without a fault, with the one program that firmware starts", async () => {
    const disk = join(folder, "disk.raw");
    await writeDisk(disk, parts);
    const esp = join(folder, "esp.img");
    await writeFile(esp, await partition(disk, 0));
    await run("/usr/sbin/fsck.fat", ["-n", "-v", esp]);
    const program = join(folder, "program.efi");
    await run("mcopy", ["-n", "-i", esp, "::/EFI/BOOT/BOOTX64.EFI", program]);
    const found = await sectionsOf(program);
    expect(found.get(".cmdline")?.toString()).toBe(parts.commandLine);
    expect(found.get(".linux")?.equals(parts.kernel)).toBe(true);
    expect(found.get(".initrd")?.equals(parts.initrd)).toBe(true);
    expect([...found.keys()]).toEqual([".text", ".cmdline", ".linux", ".initrd"]);
  });

  it("has the same bytes when it is written again, and others with another command line", async () => {
    const digests: string[] = [];
    for (const [index, commandLine] of [parts.commandLine, parts.commandLine, "other"].entries()) {
      const disk = join(folder, `disk-${index}.raw`);
      await writeDisk(disk, { ...parts, commandLine });
      digests.push(sha256(await readFile(disk)));
    }
    expect(digests[1]).toBe(digests[0]);
    expect(digests[2]).not.toBe(digests[0]);
  });

  it.each([
    ["too long for the kernel", "x".repeat(2_048)],
    ["of more than plain letters", "mayfly.broker=10.0.1.10:8443\0"],
  ])("is not written with a command line %s", async (_what, commandLine) => {
    expect(await isRefused(() => writeDisk(join(folder, "disk.raw"), { ...parts, commandLine }))).toBe(true);
  });
});

describe("appendSections", () => {
  it("takes no program that is cut off, that is none, or that has no room for more headers", async () => {
    const section = { name: ".more", data: Buffer.from("more") };
    expect(await isRefused(() => appendSections(bareProgram().subarray(0, 0x400), [section]))).toBe(true);
    expect(await isRefused(() => appendSections(Buffer.alloc(4_096), [section]))).toBe(true);
    expect(
      await isRefused(() =>
        appendSections(
          bareProgram(),
          Array.from({ length: 20 }, () => section),
        ),
      ),
    ).toBe(true);
  });
});

/** Each section's bytes, by another program's reading of the headers. */
async function sectionsOf(program: string): Promise<Map<string, Buffer>> {
  const { stdout } = await run("objdump", ["-h", program]);
  const bytes = await readFile(program);
  const rows = stdout.matchAll(/^ +\d+ (\.\S+) +([0-9a-f]{8}) +[0-9a-f]+ +[0-9a-f]+ +([0-9a-f]{8})/gm);
  return new Map(
    [...rows].map(([, name = "", size = "", at = ""]) => {
      const start = Number.parseInt(at, 16);
      return [name, bytes.subarray(start, start + Number.parseInt(size, 16))];
    }),
  );
}
