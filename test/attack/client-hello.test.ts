import { once } from "node:events";
import { createServer } from "node:net";
import { connect } from "node:tls";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readClientHello } from "../../apps/orchestrator/src/broker/client-hello.ts";

const HOST = "packages.example.com";

/** What Node's own TLS says first. */
async function realHello(servername: string | undefined): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const came = once(server, "connection");
  const client = connect({ host: "127.0.0.1", port, ...(servername === undefined ? {} : { servername }) });
  client.on("error", () => undefined);
  const [socket] = await came;
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([twoBytes(type), twoBytes(content.length), content]);
}

function serverName(...names: readonly string[]): Buffer {
  const list = names.map((name) => Buffer.concat([Buffer.of(0), twoBytes(name.length), Buffer.from(name, "latin1")]));
  const all = Buffer.concat(list);
  return extension(0, Buffer.concat([twoBytes(all.length), all]));
}

function twoBytes(number: number): Buffer {
  return Buffer.of(number >> 8, number & 0xff);
}

/** A ClientHello with these extensions, in records of at most so many bytes. */
function hello(extensions: readonly Buffer[], { recordBytes = 16_384, trailing = Buffer.alloc(0) } = {}): Buffer {
  const all = Buffer.concat(extensions);
  const body = Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(32, 7),
    Buffer.of(0),
    Buffer.of(0, 2, 0x13, 0x01),
    Buffer.of(1, 0),
    twoBytes(all.length),
    all,
    trailing,
  ]);
  const message = Buffer.concat([Buffer.of(1, 0), twoBytes(body.length), body]);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordBytes) {
    const part = message.subarray(at, at + recordBytes);
    records.push(Buffer.concat([Buffer.of(22, 3, 1), twoBytes(part.length), part]));
  }
  return Buffer.concat(records);
}

const wanted = { kind: "host", host: HOST } as const;

describe("the first words of TLS", () => {
  it("name the host, as Node says them", async () => {
    expect(readClientHello(await realHello(HOST))).toEqual(wanted);
  });

  it("need more for as long as they are not whole, wherever they are cut", async () => {
    const whole = await realHello(HOST);
    for (let size = 0; size < whole.length; size += 1) {
      expect(readClientHello(whole.subarray(0, size))).toEqual({ kind: "more" });
    }
    expect(readClientHello(Buffer.concat([whole, Buffer.from("anything")]))).toEqual(wanted);
  });

  it("may come in as many records as they like", () => {
    expect(readClientHello(hello([serverName(HOST)], { recordBytes: 5 }))).toEqual(wanted);
  });

  it("that name no host are refused", async () => {
    expect(readClientHello(await realHello(undefined))).toMatchObject({ kind: "invalid" });
    expect(readClientHello(hello([]))).toEqual({ kind: "invalid", reason: "it names no host" });
  });

  it.each([
    ["two names in two extensions", hello([serverName(HOST), serverName("other.example.com")])],
    ["two names in one extension", hello([serverName(HOST, "other.example.com")])],
    ["an encrypted name beside it", hello([serverName(HOST), extension(0xfe0d, Buffer.alloc(40))])],
    ["an encrypted name of the draft beside it", hello([serverName(HOST), extension(0xffce, Buffer.alloc(40))])],
    ["something behind the extensions", hello([serverName(HOST)], { trailing: Buffer.of(1) })],
    ["an extension that is longer than there is room", hello([serverName(HOST), Buffer.of(0, 5, 0, 9)])],
    ["HTTP without TLS", Buffer.from("GET / HTTP/1.1\r\nhost: packages.example.com\r\n\r\n")],
    ["SSH", Buffer.from("SSH-2.0-OpenSSH_9.2\r\n")],
    ["another handshake", Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
    ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
    ["application data", Buffer.from([23, 3, 3, 0, 1, 0])],
  ])("with %s are refused", (_what, bytes) => {
    expect(readClientHello(bytes)).toMatchObject({ kind: "invalid" });
  });

  it("never make the reader fail, whatever is changed in them", async () => {
    const whole = await realHello(HOST);
    const change = fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat({ max: whole.length }), (changes, size) => {
        const bytes = Buffer.from(whole);
        changes.forEach(([at, byte]) => bytes.writeUInt8(byte, at));
        expect(["more", "host", "invalid"]).toContain(readClientHello(bytes.subarray(0, size)).kind);
      }),
      { numRuns: 5_000 },
    );
  });
});
