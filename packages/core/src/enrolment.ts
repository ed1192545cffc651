import { z } from "zod";
import type { Instant, MachineId } from "./ids.ts";
import type { Enrolment, Machine } from "./machine.ts";
import type { PresentMachine } from "./ports.ts";

/**
 * How a machine without a socket of its own gets an identity, with nothing secret in its image: it makes a key pair,
 * dials the broker whose key its image pins, and the broker takes one key for the machine that the provider lists at
 * that address. The answer is a certificate that ends with the machine; every other call is made with it.
 *
 *   POST /v1/enrol          before the channel, once a connection   no certificate
 */
export const EnrolRequest = z.strictObject({
  schema: z.literal(1),
  /** The public key: SubjectPublicKeyInfo of an uncompressed point on P-256, which is always 91 bytes, in base64. */
  key: z.string().regex(/^[A-Za-z0-9+/]{122}==$/),
});
export type EnrolRequest = z.infer<typeof EnrolRequest>;

export const EnrolAnswer = z.strictObject({
  /** PEM, for as long as the machine may live. Asked again with the same key, there is another. */
  certificate: z.string().max(4_096),
});
export type EnrolAnswer = z.infer<typeof EnrolAnswer>;

/** SHA-256 of a public key's SubjectPublicKeyInfo in base64url: all that an image knows of the broker. */
export function isPin(value: string): boolean {
  return /^[A-Za-z0-9_-]{43}$/.test(value);
}

/** The broker's key, and the one that is to follow it. */
export const PINS_MAX = 2;

/** Where brokers listen for machines. IP literals alone: a machine has nobody to ask for a name. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** The preferred first. */
export type Brokers = readonly [BrokerAddress, ...BrokerAddress[]];

/** One in each zone of two. */
export const BROKERS_MAX = 2;

const BROKER = /^((?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}):([1-9]\d{0,4})$/;
const OCTET_MAX = 255;
const PORT_MAX = 65_535;

/** Reads `IPV4:PORT[,IPV4:PORT]`; null for anything else, an address twice, and too many. */
export function parseBrokers(text: string): Brokers | null {
  const words = text.split(",");
  const addresses = words.map(parseBroker).filter((address) => address !== null);
  const [first, ...others] = addresses;
  const isWhole = addresses.length === words.length && new Set(words).size === words.length;
  return first === undefined || !isWhole || words.length > BROKERS_MAX ? null : [first, ...others];
}

function parseBroker(word: string): BrokerAddress | null {
  const [, host, digits] = BROKER.exec(word) ?? [];
  const port = Number(digits);
  if (host === undefined || port > PORT_MAX || host.split(".").some((octet) => Number(octet) > OCTET_MAX)) {
    return null;
  }
  return { host, port };
}

/**
 * Why a machine does not get in. Stable. An agent takes a 4xx as final and powers its machine off; a 5xx is asked again,
 * until the machine has had its time to boot.
 */
export const enrolmentRefusals = {
  ADDRESS_UNKNOWN: { status: 503, message: "no machine of this fleet has this address, or not yet" },
  ENROLLED_TWICE: { status: 409, message: "another key was enrolled for this machine, which is destroyed for it" },
  MACHINE_ENDED: { status: 410, message: "this machine has ended" },
  CERTIFICATE_FOREIGN: { status: 403, message: "this certificate is not of this broker's making" },
  CERTIFICATE_EXPIRED: { status: 403, message: "this certificate has ended" },
  KEY_NOT_ENROLLED: { status: 403, message: "this key is not the one that was enrolled for this machine" },
  ADDRESS_WRONG: { status: 403, message: "this machine was enrolled from another address" },
} as const satisfies Record<string, { status: number; message: string }>;

export type EnrolmentRefusalCode = keyof typeof enrolmentRefusals;

/**
 * Whether who shows this key from this address is the machine of that record, and may speak. Silence is not looked at:
 * a broker that was away hears machines again that could not be heard.
 */
export function judgeEnrolled(machine: Machine | null, shown: Enrolment, now: Instant): "good" | EnrolmentRefusalCode {
  if (machine === null || machine.phase === "destroying" || machine.phase === "gone" || now >= machine.deadline) {
    return "MACHINE_ENDED";
  }
  if (machine.enrolled?.key !== shown.key) {
    return "KEY_NOT_ENROLLED";
  }
  return machine.enrolled.address === shown.address ? "good" : "ADDRESS_WRONG";
}

/** The one running machine of a listing that has this address; null for none, and for more than one. */
export function findByAddress(present: readonly PresentMachine[], address: string): MachineId | null {
  const found = present.filter((one) => one.running && one.address === address);
  return found.length === 1 ? (found[0]?.id ?? null) : null;
}
