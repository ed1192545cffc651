import { type KeyObject, randomBytes, sign } from "node:crypto";
import type { Instant } from "@mayfly/core";
import { bits, explicit, integer, oid, sequence, set, time, utf8 } from "./der.ts";

const OID = { commonName: "550403", ecdsaWithSha256: "2a8648ce3d040302" };
const VERSION_3 = 2;
const SERIAL_BYTES = 16;

export interface CertificateContent {
  /** SubjectPublicKeyInfo, DER. */
  readonly key: Uint8Array;
  /** Common names. */
  readonly subject: string;
  readonly issuer: string;
  readonly from: Instant;
  readonly until: Instant;
  /** A private key on P-256. */
  readonly signedWith: KeyObject;
}

/**
 * An X.509 certificate as PEM (RFC 5280). It has no extensions: nobody reads it but a broker, which asks who signed it,
 * whose it is, for which key and for how long.
 */
export function makeCertificate(content: CertificateContent): string {
  const { key, subject, issuer, from, until, signedWith } = content;
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const body = sequence(
    explicit(0, integer(Buffer.of(VERSION_3))),
    integer(serialNumber()),
    algorithm,
    named(issuer),
    sequence(time(from), time(until)),
    named(subject),
    key,
  );
  const signature = sign("sha256", body, { key: signedWith, dsaEncoding: "der" });
  const base64 = sequence(body, algorithm, bits(signature)).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}

function named(commonName: string): Buffer {
  return sequence(set(sequence(oid(OID.commonName), utf8(commonName))));
}

function serialNumber(): Buffer {
  const bytes = randomBytes(SERIAL_BYTES);
  // A leading zero would not be the shortest form.
  bytes[0] = (bytes[0] ?? 0) | 0x40;
  return bytes;
}
