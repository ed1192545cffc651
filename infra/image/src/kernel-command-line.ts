/** What every machine is started with. */
const always = [
  "console=ttyS0",
  "quiet",
  // A machine that panics ends; started with -no-reboot, so does its process on the host.
  "panic=-1",
  "audit=0",
  // No machine has a PCI bus; looking for one only prints a complaint.
  "pci=off",
  // There is no IPv6 link, and code that is not there has no holes.
  "ipv6.disable=1",
  "vsyscall=none",
] as const;

/**
 * Under emulation each of these saves a tenth of a second or more of the start. What they switch off protects a kernel
 * on real hardware; emulation gives no isolation to begin with, and a machine holds nothing worth reading.
 */
const whenEmulated = ["mitigations=off", "cryptomgr.notests", "nokaslr", "numa=off"] as const;

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
    return [...always, ...whenAccelerated];
  }
  const tsc = options.tscKhz === undefined ? [] : [`tsc_early_khz=${options.tscKhz}`];
  return [...always, ...whenEmulated, ...tsc];
}
