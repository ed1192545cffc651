import { lookup } from "node:dns/promises";
import { BlockList, isIPv4 } from "node:net";

/** Not public (IANA's registries of special addresses): a name from outside must not lead to what is near the broker. */
const privateV4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];
/** All that is handed out to networks of the public; the rest is local, mapped, translated or reserved. */
const publicV6 = new BlockList();
publicV6.addSubnet("2000::", 3, "ipv6");
const specialV6 = new BlockList();
for (const [net, bits] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const) {
  specialV6.addSubnet(net, bits, "ipv6");
}
const specialV4 = new BlockList();
for (const [net, bits] of privateV4) {
  specialV4.addSubnet(net, bits, "ipv4");
}

/** Whether anybody's packets for this address leave for the public internet. */
export function isPublicAddress(address: string): boolean {
  return isIPv4(address)
    ? !specialV4.check(address, "ipv4")
    : publicV6.check(address, "ipv6") && !specialV6.check(address, "ipv6");
}

/** A public address of a host by its name, the first that is given; null if it has none. Throws what the lookup throws. */
export async function resolvePublic(host: string): Promise<string | null> {
  const found = await lookup(host, { all: true });
  return found.find(({ address }) => isPublicAddress(address))?.address ?? null;
}
