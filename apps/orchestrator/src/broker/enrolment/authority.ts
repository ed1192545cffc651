import { createPublicKey, type KeyObject, type X509Certificate } from "node:crypto";
import { type Digest, type EnrolmentRefusalCode, type Instant, isMachineId, type MachineId } from "@mayfly/core";
import { makeCertificate } from "./certificate.ts";
import { digestOfKey, spkiOf } from "./machine-key.ts";

const NAME = "Mayfly machines";

/** Makes the machines' certificates and knows them again. */
export interface Authority {
  /** PEM. `key`: SubjectPublicKeyInfo, DER. */
  issue(options: { machine: MachineId; key: Uint8Array; from: Instant; until: Instant }): string;
  /** Whose certificate it is and for which key. The holder of that key is who showed it: TLS has seen to that. */
  read(certificate: X509Certificate, now: Instant): { machine: MachineId; key: Digest } | EnrolmentRefusalCode;
}

/** @param key The private key that signs. There is no certificate of the authority: its public half is all that is asked. */
export function createAuthority(key: KeyObject): Authority {
  const publicKey = createPublicKey(key);
  return {
    issue({ machine, key: machineKey, from, until }) {
      return makeCertificate({ key: machineKey, subject: machine, issuer: NAME, from, until, signedWith: key });
    },
    read(certificate, now) {
      // Before anything of it is believed: it may be anybody's and hold anything.
      if (!isSignedWith(certificate, publicKey)) {
        return "CERTIFICATE_FOREIGN";
      }
      if (now < certificate.validFromDate.getTime() || now >= certificate.validToDate.getTime()) {
        return "CERTIFICATE_EXPIRED";
      }
      const machine = certificate.subject.replace(/^CN=/, "");
      return isMachineId(machine)
        ? { machine, key: digestOfKey(spkiOf(certificate.publicKey)) }
        : "CERTIFICATE_FOREIGN";
    },
  };
}

function isSignedWith(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.verify(key);
  } catch {
    return false;
  }
}
