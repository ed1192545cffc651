/** Signature Version 4, checked from the specification with node:crypto: none of the client's own code vouches for it. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { Ec2Refusal } from "./refusal.ts";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

interface SignedRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** In place of the body's own hash: what a header says of a body that is not signed. */
  readonly bodyHash?: string;
}

interface Place {
  readonly region: string;
  /** All who may call. */
  readonly credentials: readonly Credentials[];
  /** Epoch milliseconds, of the wall clock that clients sign with. */
  readonly now: number;
  /** As signatures name it; EC2 unless said. */
  readonly service?: string;
}

// EC2's own window.
const AGE_MS_MAX = 5 * 60_000;
const ALGORITHM = "AWS4-HMAC-SHA256";
const HEADER = /^AWS4-HMAC-SHA256 Credential=([^,\s]+), ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
const STAMP = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/;

/** Who signed the request: the access key's id. Throws an Ec2Refusal. */
export function checkSignature(request: SignedRequest, place: Place): string {
  const [, credential = "", signedHeaders = "", signature = ""] =
    HEADER.exec(request.headers.authorization ?? "") ?? [];
  if (signature === "") {
    throw refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401);
  }
  const [accessKeyId, ...scope] = credential.split("/");
  const signer = place.credentials.find((known) => known.accessKeyId === accessKeyId);
  const token = request.headers["x-amz-security-token"];
  if (signer === undefined || signer.sessionToken !== token) {
    throw refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401);
  }
  const stamp = String(request.headers["x-amz-date"] ?? "");
  checkAge(stamp, place.now);
  const [day, region, service, end] = scope;
  if (region !== place.region) {
    throw refused("SignatureDoesNotMatch", `Credential should be scoped to a valid region, not '${region}'.`, 403);
  }
  const isScoped =
    scope.length === 4 && day === stamp.slice(0, 8) && service === (place.service ?? "ec2") && end === "aws4_request";
  const wanted = createHmac("sha256", keyOf(signer, scope.slice(0, 3)))
    .update([ALGORITHM, stamp, scope.join("/"), sha256(canonical(request, signedHeaders.split(";")))].join("\n"))
    .digest();
  if (!isScoped || !signsEnough(signedHeaders, token) || !timingSafeEqual(wanted, Buffer.from(signature, "hex"))) {
    const why = "The request signature we calculated does not match the signature you provided.";
    throw refused("SignatureDoesNotMatch", why, 403);
  }
  return signer.accessKeyId;
}

function checkAge(stamp: string, now: number): void {
  const [, year, month, day, hour, minute, second] = STAMP.exec(stamp) ?? [];
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // Written so that a stamp that is no time is refused too.
  if (!(Math.abs(now - at) <= AGE_MS_MAX)) {
    throw refused("RequestExpired", "Request has expired.", 400);
  }
}

function signsEnough(signedHeaders: string, token: unknown): boolean {
  const names = signedHeaders.split(";");
  return ["host", "x-amz-date", ...(token === undefined ? [] : ["x-amz-security-token"])].every((name) =>
    names.includes(name),
  );
}

function canonical({ method, target, headers, body, bodyHash }: SignedRequest, names: readonly string[]): string {
  const lines = names.map(
    (name) =>
      `${name}:${String(headers[name] ?? "")
        .trim()
        .replaceAll(/ +/g, " ")}\n`,
  );
  return [method, target, "", lines.join(""), names.join(";"), bodyHash ?? sha256(body)].join("\n");
}

function keyOf({ secretAccessKey }: Credentials, scope: readonly string[]): Buffer {
  let key: Buffer = Buffer.from(`AWS4${secretAccessKey}`);
  for (const step of [...scope, "aws4_request"]) {
    key = createHmac("sha256", key).update(step).digest();
  }
  return key;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function refused(code: string, message: string, status: number): Ec2Refusal {
  return new Ec2Refusal(code, message, status);
}
