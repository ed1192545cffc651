import { spawn } from "node:child_process";

import { AppError } from "@mayfly/core";

/** The line comes within 0.2 s on a quiet machine. */
const MEASURE_MS = 20_000;
/** The line is within the first kilobytes. */
const OUTPUT_CHARS_MAX = 64 * 1024;

/**
 * Measures the host's time stamp counter by starting the kernel once on an emulated PC, which has clocks to compare it
 * with, and reading what it found. Emulated microvm machines, which have none, are told the result.
 *
 * @returns kHz; the same for every machine on this host until it restarts.
 * @throws AppError MACHINE_LAUNCH_FAILED when QEMU cannot start or the kernel says nothing within 20 s.
 */
export async function measureTscKhz(options: { kernel: string; signal?: AbortSignal }): Promise<number> {
  const child = spawn(
    "qemu-system-x86_64",
    [
      "-nodefaults -no-user-config -display none -no-reboot -monitor none -serial stdio".split(" "),
      "-M q35 -accel tcg -cpu max -m 256".split(" "),
      ["-kernel", options.kernel, "-append", "console=ttyS0 panic=-1"],
    ].flat(),
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  try {
    return await readFrequency(child, options.signal);
  } finally {
    child.kill("SIGKILL");
  }
}

/** The kernel's finding in its own words, kHz; null when it is not (yet) there. */
export function parseTscKhz(output: string): number | null {
  const [, mega, kilo] = /tsc: Detected (\d{3,5})\.(\d{3}) MHz/.exec(output) ?? [];
  return mega === undefined || kilo === undefined ? null : Number(`${mega}${kilo}`);
}

function readFrequency(child: ReturnType<typeof spawn>, signal: AbortSignal | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => fail("the kernel said nothing of its clock in time"), MEASURE_MS);
    function fail(why: string, cause?: unknown): void {
      clearTimeout(timer);
      reject(new AppError("MACHINE_LAUNCH_FAILED", `The host's clock cannot be measured: ${why}`, { cause }));
    }
    signal?.addEventListener("abort", () => fail("aborted", signal.reason), { once: true });
    child.once("error", (error) => fail("qemu-system-x86_64 does not start", error));
    child.once("close", (code) => fail(`QEMU ended with ${code}: ${output.slice(-500)}`));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        output = (output + chunk.toString("latin1")).slice(0, OUTPUT_CHARS_MAX);
        const khz = parseTscKhz(output);
        if (khz !== null) {
          clearTimeout(timer);
          resolve(khz);
        }
      });
    }
  });
}
