import type { MachineId } from "@mayfly/core";

/** The alphabet of Mayfly's ids, 5 bits a digit. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const PREFIX = "mch_";
const DIGITS = 20;
/** Limit: EC2's instance ids are `i-` and 17 hexadecimal digits; the shorter ones of before 2016 are none of ours. */
const INSTANCE_ID = /^i-[0-9a-f]{17}$/;
const INSTANCE_BITS = 68n;

/**
 * The machine that an instance is: its 68 bits in the digits of our ids, zeros in front. Nothing has to be stored to
 * know one from the other.
 *
 * @returns Null for what is no instance id.
 */
export function machineIdOf(instanceId: string): MachineId | null {
  if (!INSTANCE_ID.test(instanceId)) {
    return null;
  }
  let digits = "";
  for (let rest = BigInt(`0x${instanceId.slice(2)}`); digits.length < DIGITS; rest >>= 5n) {
    digits = ALPHABET.charAt(Number(rest & 31n)) + digits;
  }
  return `${PREFIX}${digits}` as MachineId;
}

/** The instance that a machine is; null for a machine that no instance can be, such as another provider's. */
export function instanceIdOf(machine: MachineId): string | null {
  let bits = 0n;
  for (const digit of machine.slice(PREFIX.length)) {
    bits = (bits << 5n) | BigInt(ALPHABET.indexOf(digit));
  }
  return bits >> INSTANCE_BITS === 0n ? `i-${bits.toString(16).padStart(17, "0")}` : null;
}
