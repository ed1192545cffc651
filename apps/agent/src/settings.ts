import { isPin, PINS_MAX } from "@mayfly/core/enrolment";

/** What the kernel command line tells the agent. */
export interface Settings {
  readonly broker: { readonly host: string; readonly port: number };
  /** Public keys that the broker may have; null where the link itself leads to it and to nobody else. */
  readonly pins: readonly string[] | null;
}

const BROKER = /^mayfly\.broker=(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})$/;
const PINS = "mayfly.pins=";
const PORT_MAX = 65_535;
const OCTET_MAX = 255;

/**
 * Reads the settings from the text of /proc/cmdline. The hypervisor or the image wrote it, so a mistake in it is a bug
 * of ours: throws unless there is exactly one well-formed `mayfly.broker=IPV4:PORT`, and at most one
 * `mayfly.pins=PIN[,PIN]`.
 */
export function parseSettings(commandLine: string): Settings {
  const words = commandLine.split(/\s+/);
  return { broker: parseBroker(words), pins: parsePins(words) };
}

function parseBroker(words: readonly string[]): Settings["broker"] {
  const named = words.filter((word) => word.startsWith("mayfly.broker="));
  const match = named.length === 1 ? BROKER.exec(named[0] ?? "") : null;
  const host = match?.[1];
  const port = Number(match?.[2]);
  if (host === undefined || !isAddress(host) || port < 1 || port > PORT_MAX) {
    throw new Error("the kernel command line must hold one mayfly.broker=IPV4:PORT");
  }
  return { host, port };
}

function parsePins(words: readonly string[]): readonly string[] | null {
  // Whatever looks like it was meant must be right: a slip must not lead to a link without any check.
  const named = words.filter((word) => word.startsWith("mayfly.pin"));
  if (named.length === 0) {
    return null;
  }
  const [word = ""] = named;
  const pins = word.startsWith(PINS) ? word.slice(PINS.length).split(",") : [];
  if (named.length > 1 || pins.length === 0 || pins.length > PINS_MAX || !pins.every(isPin)) {
    throw new Error("mayfly.pins on the kernel command line must be PIN or PIN,PIN");
  }
  return pins;
}

function isAddress(text: string): boolean {
  return text.split(".").every((octet) => Number(octet) <= OCTET_MAX);
}
