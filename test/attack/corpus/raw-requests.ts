import type { Random } from "./random.ts";

/** What every smuggled header holds, so that it is known again wherever it comes out. */
export const MARK = "smuggled-mark";

export interface RawOptions {
  /** What a proper caller would send. */
  readonly token: string;
  readonly body: string;
  /** What is wrong in each of them, so that none may come out. Left out: anything, or nothing. */
  readonly wrong?: "line" | "length";
}

const PROPER = "POST /v1/responses HTTP/1.1";

/** Other ways to write the same line, which may pass or not: what comes out is the same. */
const sameLines = [
  PROPER,
  PROPER,
  PROPER,
  "POST /v1/responses HTTP/1.0",
  "POST /v1/responses HTTP/2.0",
  "POST /v1/responses",
  "POST  /v1/responses HTTP/1.1",
];

const lines = [
  "POST\t/v1/responses\tHTTP/1.1",
  "post /v1/responses HTTP/1.1",
  "PUT /v1/responses HTTP/1.1",
  "GET /v1/responses HTTP/1.1",
  "CONNECT api.example.com:443 HTTP/1.1",
  "CONNECT /v1/responses HTTP/1.1",
  "TRACE /v1/responses HTTP/1.1",
  "PRI * HTTP/2.0",
  "POST //v1/responses HTTP/1.1",
  "POST /v1//responses HTTP/1.1",
  "POST /v1/./responses HTTP/1.1",
  "POST /v1/x/../responses HTTP/1.1",
  "POST /v1/%72esponses HTTP/1.1",
  "POST /v1/responses%2f HTTP/1.1",
  "POST /v1/%2e%2e/v1/responses HTTP/1.1",
  "POST /v1/responses%00 HTTP/1.1",
  "POST /v1/responses;x HTTP/1.1",
  "POST /v1/responses?model=gpt-other HTTP/1.1",
  "POST /v1/responses# HTTP/1.1",
  "POST \\v1\\responses HTTP/1.1",
  "POST http://127.0.0.1:1/v1/responses HTTP/1.1",
  "POST https://api.example.com/v1/responses HTTP/1.1",
  "POST /v1/files HTTP/1.1",
  "POST /v1/responses/resp_1/cancel HTTP/1.1",
  "DELETE /v1/responses/resp_1 HTTP/1.1",
  "GET /v1/organization/admin_api_keys HTTP/1.1",
  "\u0000POST /v1/responses HTTP/1.1",
];

const smuggled = [
  `host: ${MARK}.example.com`,
  `openai-organization: ${MARK}`,
  `openai-project: ${MARK}`,
  `openai-beta: ${MARK}`,
  `x-api-key: ${MARK}`,
  `authorization: Bearer ${MARK}`,
  `proxy-authorization: Basic ${MARK}`,
  `cookie: ${MARK}`,
  `x-forwarded-host: ${MARK}`,
  `forwarded: for=${MARK}`,
  `user-agent: ${MARK}`,
  `accept: ${MARK}`,
  `accept-encoding: ${MARK}`,
  `content-encoding: ${MARK}`,
  `content-encoding: gzip`,
  `content-type: application/json; x=${MARK}`,
  `content-type: text/plain`,
  `idempotency-key: ${MARK}`,
  `traceparent: ${MARK}`,
  `x-http-method-override: DELETE`,
  `x-original-url: /v1/files`,
  `te: trailers, ${MARK}`,
  `trailer: authorization`,
  `expect: 100-continue`,
  `expect: ${MARK}`,
  `upgrade: websocket\r\nconnection: upgrade`,
  `upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABk`,
  `connection: close, authorization, content-length`,
  `keep-alive: timeout=999`,
  `max-forwards: 0`,
  `x-folded: a\r\n ${MARK}`,
  `x-folded: a\r\n\tauthorization: Bearer ${MARK}`,
  `x-nul: a\u0000${MARK}`,
  `x-bare: a\rauthorization: Bearer ${MARK}`,
  `x-bare: a\nopenai-organization: ${MARK}`,
  `authorization : Bearer ${MARK}`,
  ` authorization: Bearer ${MARK}`,
  `: ${MARK}`,
  `x ${MARK}`,
  `x-utf8: \u00e9${MARK}`,
];

/**
 * Bytes that say something else to each reader of HTTP. Some of them are proper calls: what comes out behind the proxy
 * must be the same for those, and nothing for the rest.
 */
export function rawRequest(random: Random, options: RawOptions): string {
  const once = one(random, options);
  return random.once(4) ? once + one(random, options) : once;
}

/** Nothing is wrong in it but this one thing. */
function wrongOnly(random: Random, { token, body, wrong }: RawOptions): string {
  const line = wrong === "line" ? random.pick(lines) : PROPER;
  const length = wrong === "line" ? `content-length: ${Buffer.byteLength(body)}` : "transfer-encoding: chunked";
  const sent = wrong === "line" ? body : `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  const headers = [
    "host: broker",
    "connection: close",
    `authorization: Bearer ${token}`,
    "content-type: application/json",
    length,
  ];
  return `${line}\r\n${headers.join("\r\n")}\r\n\r\n${sent}`;
}

function one(random: Random, { token, body, wrong }: RawOptions): string {
  if (wrong !== undefined) {
    return wrongOnly(random, { token, body, wrong });
  }
  const headers = [
    "host: broker",
    // What stays open after its answer costs the sender's patience and shows nothing more.
    ...(random.once(16) ? [] : ["connection: close"]),
    ...(random.once(8) ? [] : [`authorization: Bearer ${token}`]),
    ...(random.once(8) ? [] : ["content-type: application/json"]),
    // Half of them are sound but for one thing: what is wrong everywhere is refused for the first reason alone.
    ...(random.once(2) ? [`content-length: ${Buffer.byteLength(body)}`] : lengthsOf(random, body)),
    ...Array.from({ length: random.int(3) }, () => random.pick(smuggled)),
  ];
  const end = random.once(16) ? "\n" : "\r\n";
  const line = random.pick(random.once(2) ? sameLines : lines);
  return `${line}${end}${headers.join(end)}${end}${end}${random.once(2) ? body : bodyOf(random, body)}`;
}

/** How long the body is said to be: rightly, wrongly, twice, or in the other way. */
function lengthsOf(random: Random, body: string): string[] {
  const right = Buffer.byteLength(body);
  return random.pick([
    [`content-length: ${right}`],
    [`content-length: ${right}`],
    [`content-length: ${right}`],
    [`content-length: ${right}`, `content-length: ${right}`],
    [`content-length: ${right}`, "content-length: 0"],
    [`content-length: ${right}, ${right}`],
    [`content-length: +${right}`],
    [`content-length: 0x${right.toString(16)}`],
    [`content-length: -1`],
    [`content-length: ${right}`, "transfer-encoding: chunked"],
    ["transfer-encoding: chunked"],
    ["transfer-encoding: chunked", "transfer-encoding: identity"],
    ["transfer-encoding: xchunked"],
    ["transfer-encoding:\tchunked", `content-length: ${right}`],
    ["Transfer-Encoding : chunked", `content-length: ${right}`],
    ["transfer-encoding: chunked, identity"],
    [],
  ]);
}

function bodyOf(random: Random, body: string): string {
  const chunked = `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  return random.pick([
    body,
    body,
    body,
    chunked,
    `0\r\n\r\nPOST /v1/files HTTP/1.1\r\nhost: broker\r\nx: ${MARK}\r\n\r\n`,
    chunked.replace("\r\n", `;${MARK}\r\n`),
    `${chunked.slice(0, -2)}authorization: Bearer ${MARK}\r\n\r\n`,
    "",
  ]);
}
