/** Calls that the SDK's client would not make, signed by the SDK's own signer. */
import { createHash, createHmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import type { Ec2Fake } from "./server.ts";
import type { Credentials } from "./signature.ts";

interface RawOptions {
  readonly credentials?: Credentials;
  readonly region?: string;
  readonly service?: string;
  readonly date?: Date;
  /** Sent in the place of the body that was signed. */
  readonly body?: string;
}

/** Sends the parameters as they are; answers the HTTP status, the error's code (null without one) and the body. */
export async function callRaw(
  fake: Pick<Ec2Fake, "url" | "region" | "credentials">,
  parameters: Readonly<Record<string, string>>,
  options: RawOptions = {},
): Promise<{ status: number; code: string | null; body: string }> {
  const { hostname, port, host } = new URL(fake.url);
  const body = new URLSearchParams({ Version: "2016-11-15", ...parameters }).toString();
  const signer = new SignatureV4({
    service: options.service ?? "ec2",
    region: options.region ?? fake.region,
    credentials: options.credentials ?? fake.credentials,
    sha256: Sha256,
  });
  const headers = { host, "content-type": "application/x-www-form-urlencoded" };
  const request = {
    method: "POST",
    protocol: "http:",
    hostname,
    port: Number(port),
    path: "/",
    query: {},
    headers,
    body,
  };
  const signed = await signer.sign(request, { signingDate: options.date ?? new Date() });
  const { host: _host, ...sent } = signed.headers;
  const response = await fetch(fake.url, { method: "POST", headers: sent, body: options.body ?? body });
  const text = await response.text();
  return { status: response.status, code: /<Code>([^<]+)<\/Code>/.exec(text)?.[1] ?? null, body: text };
}

type Source = string | ArrayBuffer | ArrayBufferView;

/** What the signer wants of a hash, and of one with a key. */
class Sha256 {
  readonly #hash;

  constructor(secret?: Source) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bytesOf(secret));
  }

  update(data: Source): void {
    this.#hash.update(bytesOf(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new Error("the signer makes a new hash for each use");
  }
}

function bytesOf(data: Source): Uint8Array {
  if (typeof data === "string") {
    return Buffer.from(data);
  }
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
