const HEADERS_BYTES = 0x400;
const CODE_BYTES = 0x200;

/** The least that is a program for UEFI: headers with room for a few more sections, and one section. */
export function bareProgram(): Buffer {
  const program = Buffer.alloc(HEADERS_BYTES + CODE_BYTES);
  program.write("MZ", 0, "latin1");
  program.writeUInt32LE(0x80, 0x3c);
  const at = 0x80;
  program.write("PE\0\0", at, "latin1");
  program.writeUInt16LE(0x8664, at + 4);
  program.writeUInt16LE(1, at + 6);
  program.writeUInt16LE(240, at + 20);
  program.writeUInt16LE(0x0206, at + 22);
  const optional = at + 24;
  program.writeUInt16LE(0x20b, optional);
  program.writeUInt32LE(CODE_BYTES, optional + 4);
  program.writeUInt32LE(0x1000, optional + 16);
  program.writeUInt32LE(0x200, optional + 32);
  program.writeUInt32LE(0x200, optional + 36);
  program.writeUInt32LE(0x1200, optional + 56);
  program.writeUInt32LE(HEADERS_BYTES, optional + 60);
  // A program for UEFI.
  program.writeUInt16LE(10, optional + 68);
  program.writeUInt32LE(16, optional + 108);
  const section = optional + 240;
  program.write(".text", section, "latin1");
  program.writeUInt32LE(CODE_BYTES, section + 8);
  program.writeUInt32LE(0x1000, section + 12);
  program.writeUInt32LE(CODE_BYTES, section + 16);
  program.writeUInt32LE(HEADERS_BYTES, section + 20);
  program.writeUInt32LE(0x6000_0020, section + 36);
  return program;
}
