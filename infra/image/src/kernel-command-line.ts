import type { Brokers } from "@mayfly/core";

/** What every machine is started with. */
const always = [
  "console=ttyS0",
  "quiet",
  // A machine that panics ends; started with -no-reboot, so does its process on the host.
  "panic=-1",
  "audit=0",
  // There is no IPv6 link, and code that is not there has no holes.
  "ipv6.disable=1",
  "vsyscall=none",
] as const;

/**
 * Under emulation each of these saves a tenth of a second or more of the start. What they switch off protects a kernel
 * on real hardware; emulation gives no isolation to begin with, and a machine holds nothing worth reading.
 */
const whenEmulated = ["mitigations=off", "cryptomgr.notests", "nokaslr", "numa=off"] as const;

/** No machine in QEMU has a PCI bus; looking for one only prints a complaint. */
const inQemu = ["pci=off"] as const;

/** EC2's documentation asks for it: a volume that is slow for a while is no disk that failed. The highest there is. */
const onEc2 = ["nvme_core.io_timeout=4294967295"] as const;

/** On real hardware the kernel defends itself: wiped memory, and a stack that moves. */
const whenAccelerated = ["slab_nomerge", "init_on_alloc=1", "init_on_free=1", "randomize_kstack_offset=on"] as const;

/**
 * The kernel's parameters that the image needs; the caller appends its own (mayfly.*).
 *
 * @param options.tscKhz The host's time stamp counter, kHz (see `measureTscKhz`). An emulated microvm machine has no
 *   other clock to measure it by, and without it every second start hangs. Not used when accelerated.
 */
export function kernelCommandLine(options: { emulated: boolean; tscKhz?: number | undefined }): string[] {
  if (!options.emulated) {
    return [...always, ...inQemu, ...whenAccelerated];
  }
  const tsc = options.tscKhz === undefined ? [] : [`tsc_early_khz=${options.tscKhz}`];
  return [...always, ...inQemu, ...whenEmulated, ...tsc];
}

/**
 * The whole command line of a machine on EC2, where nobody appends anything: it stands in the image.
 *
 * @param options.lifetimeSeconds After which the machine ends whatever happens.
 */
export function ec2CommandLine(options: {
  brokers: Brokers;
  pins: readonly string[];
  lifetimeSeconds: number;
}): string {
  const brokers = options.brokers.map(({ host, port }) => `${host}:${port}`).join(",");
  return [
    ...always,
    ...whenAccelerated,
    ...onEc2,
    `mayfly.broker=${brokers}`,
    `mayfly.pins=${options.pins.join(",")}`,
    `mayfly.lifetime_s=${options.lifetimeSeconds}`,
  ].join(" ");
}
