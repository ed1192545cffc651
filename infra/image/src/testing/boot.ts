import { spawn } from "node:child_process";

import { kernelCommandLine } from "../kernel-command-line.ts";
import type { Image } from "../verify.ts";

/** An emulated start takes 5 s on a quiet machine and several times that on a busy one. */
const BOOT_MS = 120_000;
/** A console that prints more than this is out of hand. */
const CONSOLE_BYTES_MAX = 1024 * 1024;

/** How a machine ended, and everything that it printed. */
export interface Boot {
  readonly console: string;
  readonly code: number | null;
  readonly elapsedMs: number;
}

/**
 * Starts one emulated machine with a network link that leads nowhere and waits until it has powered itself off; one
 * that does not is killed and the promise rejects.
 */
export async function bootOnce(options: { image: Image; tscKhz: number; parameters?: string[] }): Promise<Boot> {
  const { image, tscKhz } = options;
  const start = performance.now();
  const append = [...kernelCommandLine({ emulated: true, tscKhz }), ...(options.parameters ?? [])].join(" ");
  const child = spawn(
    "qemu-system-x86_64",
    [
      "-nodefaults -no-user-config -display none -no-reboot -monitor none -serial stdio".split(" "),
      "-M microvm,pit=off,pic=off -accel tcg,thread=multi,tb-size=256 -cpu max -m 1024".split(" "),
      ["-kernel", image.kernel, "-initrd", image.initrd, "-append", append],
      [
        "-drive",
        `id=root,file=${image.root},format=raw,if=none,readonly=on`,
        "-device",
        "virtio-blk-device,drive=root",
      ],
      "-device virtio-rng-device -netdev user,id=net,ipv6=off,restrict=on".split(" "),
      ["-device", "virtio-net-device,netdev=net"],
    ].flat(),
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), BOOT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        text = (text + chunk.toString("utf8")).slice(0, CONSOLE_BYTES_MAX);
      });
    }
    child.once("error", (cause) => {
      clearTimeout(timer);
      reject(new Error("This test needs qemu-system-x86_64. Install with: apt-get install qemu-system-x86", { cause }));
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      if (signal === null) {
        resolve({ console: text, code, elapsedMs: performance.now() - start });
      } else {
        reject(new Error(`The machine did not power off within ${BOOT_MS} ms: ${text.slice(-2000)}`));
      }
    });
  });
}
