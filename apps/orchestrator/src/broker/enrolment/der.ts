/** ASN.1 in DER, as far as a certificate needs it: enough to write one, and nothing to read any. */

const TAG = { integer: 0x02, bits: 0x03, oid: 0x06, utf8: 0x0c, utcTime: 0x17, time: 0x18, sequence: 0x30, set: 0x31 };

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(TAG.sequence, Buffer.concat(parts));
}

export function set(...parts: readonly Uint8Array[]): Buffer {
  return element(TAG.set, Buffer.concat(parts));
}

/** A positive integer, most significant byte first. */
export function integer(bytes: Uint8Array): Buffer {
  // The first bit would make it negative.
  return element(TAG.integer, Buffer.concat([Buffer.of(0), bytes].slice((bytes[0] ?? 0) > 0x7f ? 0 : 1)));
}

/** The content bytes of an object identifier, as its registration gives them. */
export function oid(hex: string): Buffer {
  return element(TAG.oid, Buffer.from(hex, "hex"));
}

export function utf8(text: string): Buffer {
  return element(TAG.utf8, Buffer.from(text, "utf8"));
}

/** Whole bytes. */
export function bits(bytes: Uint8Array): Buffer {
  return element(TAG.bits, Buffer.concat([Buffer.of(0), bytes]));
}

/** To the second, rounded down. Two-digit years up to 2049 and four-digit years from then on (RFC 5280, 4.1.2.5). */
export function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().replaceAll(/\D/g, "").slice(0, 14)}Z`;
  return text < "2050" ? element(TAG.utcTime, Buffer.from(text.slice(2))) : element(TAG.time, Buffer.from(text));
}

/** What stands at place `number` of an optional sequence, said by its tag. */
export function explicit(number: number, content: Uint8Array): Buffer {
  return element(0xa0 + number, content);
}

function element(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag, ...lengthOf(content)), content]);
}

/** In the fewest bytes, as DER demands. Two after the first reach 64 KiB, which no certificate of ours does. */
function lengthOf({ length }: Uint8Array): readonly number[] {
  if (length < 0x80) {
    return [length];
  }
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}
