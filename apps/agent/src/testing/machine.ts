import { spawn } from "node:child_process";
import { once } from "node:events";
import { kernelCommandLine } from "@mayfly/image";
import type { Image } from "@mayfly/image";

/** A machine that runs. */
export interface TestMachine {
  /** All that it printed so far. */
  console(): string;
  /** Resolves when it has powered itself off. */
  readonly ended: Promise<unknown>;
  kill(): void;
}

const CONSOLE_CHARS_MAX = 1024 * 1024;

// In an empty network namespace the guest's way out ends at one forwarder, which ends at the broker's socket. The process
// namespace takes the forwarder with it.
const script = [
  "/bin/busybox ip link set lo up",
  'socat "TCP-LISTEN:8080,bind=127.0.0.1,fork,reuseaddr" "UNIX-CONNECT:$1" &',
  "shift",
  'exec "$@"',
].join("\n");

/** Boots the image under emulation, connected to nothing but the broker's socket. */
export function bootMachine(options: { image: Image; tscKhz: number; socket: string }): TestMachine {
  const { image, tscKhz, socket } = options;
  const append = [...kernelCommandLine({ emulated: true, tscKhz }), "mayfly.broker=10.0.2.2:8080"].join(" ");
  const isolation = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"];
  const qemu = [
    "qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -monitor none -serial stdio".split(" "),
    "-M microvm,pit=off,pic=off -accel tcg,thread=multi,tb-size=256 -cpu max -m 1024".split(" "),
    "-device virtio-rng-device -netdev user,id=net,ipv6=off -device virtio-net-device,netdev=net".split(" "),
    ["-drive", `id=root,file=${image.root},format=raw,if=none,readonly=on`, "-device", "virtio-blk-device,drive=root"],
    ["-kernel", image.kernel, "-initrd", image.initrd, "-append", append],
  ].flat();
  const child = spawn("unshare", [...isolation, "sh", "-c", script, "sh", socket, ...qemu], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      text = (text + chunk.toString("utf8")).slice(-CONSOLE_CHARS_MAX);
    });
  }
  const ended = once(child, "close");
  return { console: () => text, ended, kill: () => void child.kill("SIGKILL") };
}
