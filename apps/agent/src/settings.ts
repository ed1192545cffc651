/** What the kernel command line tells the agent. */
export interface Settings {
  readonly broker: { readonly host: string; readonly port: number };
}

const BROKER = /^mayfly\.broker=(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})$/;
const PORT_MAX = 65_535;
const OCTET_MAX = 255;

/**
 * Reads the settings from the text of /proc/cmdline. The hypervisor wrote it, so a mistake in it is a bug of ours:
 * throws unless there is exactly one well-formed `mayfly.broker=IPV4:PORT`.
 */
export function parseSettings(commandLine: string): Settings {
  const named = commandLine.split(/\s+/).filter((word) => word.startsWith("mayfly.broker="));
  const match = named.length === 1 ? BROKER.exec(named[0] ?? "") : null;
  const host = match?.[1];
  const port = Number(match?.[2]);
  if (host === undefined || !isAddress(host) || port < 1 || port > PORT_MAX) {
    throw new Error("the kernel command line must hold one mayfly.broker=IPV4:PORT");
  }
  return { broker: { host, port } };
}

function isAddress(text: string): boolean {
  return text.split(".").every((octet) => Number(octet) <= OCTET_MAX);
}
