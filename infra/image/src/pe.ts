import { AppError } from "@mayfly/core";

/** A part of a program for UEFI that the boot stub looks for by its name. */
export interface PeSection {
  /** At most eight characters, such as `.cmdline`. */
  readonly name: string;
  readonly data: Uint8Array;
}

// Offsets of the PE/COFF specification (Microsoft's "PE Format"). "Optional" is what it calls the header of an image.
const POINTER_AT = 0x3c;
const SIGNATURE = 0x4550;
const COUNT_AT = 6;
const SYMBOLS_AT = 12;
const OPTIONAL_BYTES_AT = 20;
const OPTIONAL_AT = 24;
const PE32_PLUS = 0x20b;
const DATA_BYTES_AT = OPTIONAL_AT + 8;
const SECTION_ALIGNMENT_AT = OPTIONAL_AT + 32;
const FILE_ALIGNMENT_AT = OPTIONAL_AT + 36;
const IMAGE_BYTES_AT = OPTIONAL_AT + 56;
const HEADERS_BYTES_AT = OPTIONAL_AT + 60;
const CHECKSUM_AT = OPTIONAL_AT + 64;
const SECTION_HEADER_BYTES = 40;
const NAME_BYTES = 8;
/** Initialized data, readable. */
const CHARACTERISTICS = 0x4000_0040;
/** Each part starts on a page, whatever the stub's own parts do. */
const PAGE_BYTES = 4096;

/**
 * Appends sections to a program for UEFI. Its symbols go, since they would be in the way; nothing that runs needs them.
 * Equal input gives equal bytes.
 *
 * @throws AppError IMAGE_BUILD_FAILED when it is no such program, or has no room for more headers.
 */
export function appendSections(program: Buffer, sections: readonly PeSection[]): Buffer {
  const pe = readHeader(program);
  const head = Buffer.from(program.subarray(0, pe.headersBytes));
  const end = pe.sectionsAt + (pe.count + sections.length) * SECTION_HEADER_BYTES;
  if (end > pe.headersBytes) {
    throw new AppError("IMAGE_BUILD_FAILED", "The boot stub has no room for the headers of more sections");
  }
  const body = program.subarray(pe.headersBytes, pe.fileEnd);
  const parts: Buffer[] = [];
  let fileAt = up(pe.fileEnd, pe.fileAlignment);
  parts.push(Buffer.alloc(fileAt - pe.fileEnd));
  let memoryAt = up(pe.memoryEnd, PAGE_BYTES);
  let dataBytes = head.readUInt32LE(pe.at + DATA_BYTES_AT);
  for (const [index, { name, data }] of sections.entries()) {
    const at = pe.sectionsAt + (pe.count + index) * SECTION_HEADER_BYTES;
    const fileBytes = up(data.length, pe.fileAlignment);
    head.fill(0, at, at + SECTION_HEADER_BYTES);
    head.write(name, at, NAME_BYTES, "latin1");
    head.writeUInt32LE(data.length, at + 8);
    head.writeUInt32LE(memoryAt, at + 12);
    head.writeUInt32LE(fileBytes, at + 16);
    head.writeUInt32LE(fileAt, at + 20);
    head.writeUInt32LE(CHARACTERISTICS, at + 36);
    parts.push(Buffer.from(data), Buffer.alloc(fileBytes - data.length));
    fileAt += fileBytes;
    memoryAt = up(memoryAt + data.length, PAGE_BYTES);
    dataBytes += fileBytes;
  }
  head.writeUInt16LE(pe.count + sections.length, pe.at + COUNT_AT);
  head.writeBigUInt64LE(0n, pe.at + SYMBOLS_AT);
  head.writeUInt32LE(dataBytes, pe.at + DATA_BYTES_AT);
  head.writeUInt32LE(up(memoryAt, pe.sectionAlignment), pe.at + IMAGE_BYTES_AT);
  // Nobody looks at it but for drivers of Windows.
  head.writeUInt32LE(0, pe.at + CHECKSUM_AT);
  return Buffer.concat([head, body, ...parts]);
}

interface PeHeader {
  readonly at: number;
  readonly count: number;
  readonly sectionsAt: number;
  readonly headersBytes: number;
  readonly fileAlignment: number;
  readonly sectionAlignment: number;
  /** Behind the last section. */
  readonly fileEnd: number;
  readonly memoryEnd: number;
}

function readHeader(program: Buffer): PeHeader {
  const at = program.length > POINTER_AT + 4 ? program.readUInt32LE(POINTER_AT) : 0;
  const isProgram =
    at > 0 &&
    at + OPTIONAL_AT + 112 < program.length &&
    program.readUInt32LE(at) === SIGNATURE &&
    program.readUInt16LE(at + OPTIONAL_AT) === PE32_PLUS;
  if (!isProgram) {
    throw new AppError("IMAGE_BUILD_FAILED", "The boot stub is no 64-bit program for UEFI");
  }
  const count = program.readUInt16LE(at + COUNT_AT);
  const sectionsAt = at + OPTIONAL_AT + program.readUInt16LE(at + OPTIONAL_BYTES_AT);
  const headersBytes = program.readUInt32LE(at + HEADERS_BYTES_AT);
  let [fileEnd, memoryEnd] = [headersBytes, headersBytes];
  for (let index = 0; index < count; index++) {
    const section = sectionsAt + index * SECTION_HEADER_BYTES;
    fileEnd = Math.max(fileEnd, program.readUInt32LE(section + 16) + program.readUInt32LE(section + 20));
    memoryEnd = Math.max(memoryEnd, program.readUInt32LE(section + 8) + program.readUInt32LE(section + 12));
  }
  if (fileEnd > program.length) {
    throw new AppError("IMAGE_BUILD_FAILED", "The boot stub is cut off");
  }
  return {
    at,
    count,
    sectionsAt,
    headersBytes,
    fileEnd,
    memoryEnd,
    fileAlignment: program.readUInt32LE(at + FILE_ALIGNMENT_AT),
    sectionAlignment: program.readUInt32LE(at + SECTION_ALIGNMENT_AT),
  };
}

function up(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
