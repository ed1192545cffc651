import { type Brokers, isPin, parseBrokers, PINS_MAX } from "@mayfly/core/enrolment";

/** What the kernel command line tells the agent. */
export interface Settings {
  /** The preferred first; more than one only with pins. */
  readonly brokers: Brokers;
  /** Public keys that the broker may have; null where the link itself leads to it and to nobody else. */
  readonly pins: readonly string[] | null;
}

const BROKER = "mayfly.broker=";
const PINS = "mayfly.pins=";

/**
 * Reads the settings from the text of /proc/cmdline. The hypervisor or the image wrote it, so a mistake in it is a bug
 * of ours: throws unless there is exactly one well-formed `mayfly.broker=IPV4:PORT[,IPV4:PORT]`, and at most one
 * `mayfly.pins=PIN[,PIN]`.
 */
export function parseSettings(commandLine: string): Settings {
  const words = commandLine.split(/\s+/);
  const settings = { brokers: parseOwnBrokers(words), pins: parsePins(words) };
  if (settings.pins === null && settings.brokers.length > 1) {
    throw new Error("mayfly.broker may name two addresses only where mayfly.pins says which brokers are meant");
  }
  return settings;
}

function parseOwnBrokers(words: readonly string[]): Brokers {
  const named = words.filter((word) => word.startsWith(BROKER));
  const brokers = named.length === 1 ? parseBrokers((named[0] ?? "").slice(BROKER.length)) : null;
  if (brokers === null) {
    throw new Error("the kernel command line must hold one mayfly.broker=IPV4:PORT[,IPV4:PORT]");
  }
  return brokers;
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
