/** What a client's first words of TLS say: how many more are needed, what they ask for, or that they are something else. */
export type ClientHello =
  | { readonly kind: "more" }
  | { readonly kind: "host"; readonly host: string }
  | { readonly kind: "invalid"; readonly reason: string };

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_BYTES_MAX = 16_384;
const SERVER_NAME = 0;
/** Encrypted ClientHello and its draft: the name that can be read is then not the one that is asked for. */
const HIDING = [0xfe0d, 0xffce];

/**
 * Reads the ClientHello at the beginning of what a client sends (RFC 8446 4.1.2, names by RFC 6066 3). Strict: every
 * length must fit exactly, the name must be there once. Never throws. What stands after the ClientHello is not looked at.
 *
 * @param bytes All that was sent so far; the caller bounds it.
 */
export function readClientHello(bytes: Buffer): ClientHello {
  const message = readMessage(bytes);
  if (!Buffer.isBuffer(message)) {
    return message;
  }
  try {
    return { kind: "host", host: hostOf(message) };
  } catch (error) {
    return invalid(error instanceof Malformed ? error.message : "lengths do not fit");
  }
}

/** Not what TLS would be. */
class Malformed extends Error {}

/** The ClientHello, which may come in several records. */
function readMessage(bytes: Buffer): Buffer | Extract<ClientHello, { kind: "more" | "invalid" }> {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const head = bytes.subarray(at, at + 5);
    const isTls = [HANDSHAKE, 3].every((byte, index) => index >= head.length || head[index] === byte);
    if (!isTls) {
      return invalid("it is not TLS");
    }
    if (head.length < 5) {
      return { kind: "more" };
    }
    const length = head.readUInt16BE(3);
    if (length === 0 || length > RECORD_BYTES_MAX) {
      return invalid("a record is empty or too long");
    }
    parts.push(bytes.subarray(at + 5, at + 5 + length));
    const said = Buffer.concat(parts);
    if (said.length > 0 && said[0] !== CLIENT_HELLO) {
      return invalid("it does not begin with a ClientHello");
    }
    if (said.length >= 4 && said.length >= 4 + said.readUIntBE(1, 3)) {
      return said.subarray(4, 4 + said.readUIntBE(1, 3));
    }
    if (bytes.length < at + 5 + length) {
      return { kind: "more" };
    }
    at += 5 + length;
  }
}

function hostOf(message: Buffer): string {
  // Version and random; session, ciphers and compressions, each behind its length.
  let rest = message.subarray(34);
  rest = take(rest, 1).rest;
  rest = take(rest, 2).rest;
  rest = take(rest, 1).rest;
  const extensions = take(rest, 2);
  if (message.length < 34 || extensions.rest.length > 0) {
    throw new Malformed("lengths do not fit");
  }
  const names: string[] = [];
  for (let left = extensions.content; left.length > 0;) {
    const type = left.readUInt16BE(0);
    const { content, rest: after } = take(left.subarray(2), 2);
    if (HIDING.includes(type)) {
      throw new Malformed("it hides the name of the host");
    }
    if (type === SERVER_NAME) {
      names.push(nameIn(content));
    }
    left = after;
  }
  const [name, ...more] = names;
  if (name === undefined || more.length > 0) {
    throw new Malformed(name === undefined ? "it names no host" : "it names several hosts");
  }
  return name;
}

function nameIn(extension: Buffer): string {
  const list = take(extension, 2);
  const name = take(list.content.subarray(1), 2);
  if (list.rest.length > 0 || list.content[0] !== 0 || name.rest.length > 0) {
    throw new Malformed("it does not name one host");
  }
  return name.content.toString("latin1");
}

/** What stands behind its own length. Throws for a length that does not fit. */
function take(bytes: Buffer, lengthBytes: 1 | 2): { content: Buffer; rest: Buffer } {
  const length = bytes.readUIntBE(0, lengthBytes);
  if (bytes.length < lengthBytes + length) {
    throw new Malformed("lengths do not fit");
  }
  return { content: bytes.subarray(lengthBytes, lengthBytes + length), rest: bytes.subarray(lengthBytes + length) };
}

function invalid(reason: string): { readonly kind: "invalid"; readonly reason: string } {
  return { kind: "invalid", reason };
}
