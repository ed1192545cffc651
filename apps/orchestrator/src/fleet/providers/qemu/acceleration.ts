import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants } from "node:fs/promises";
import { AppError } from "@mayfly/core";
import { type Image, kernelCommandLine } from "@mayfly/image";
import type { Confine } from "../../../confine/confinement.ts";
import { uidOffsets } from "../../../confine/uid-offsets.ts";
import { processorCommand } from "./machine-command.ts";

/** The probe takes 0.5 s where KVM works. */
const PROBE_MS = 5_000;
/** The kernel and its first file system fit easily. */
const PROBE_MEMORY_MIB = 256;
const PROBE_ADDRESS_SPACE_BYTES = 4 * 1024 ** 3;
const OUTPUT_CHARS_MAX = 256 * 1024;

/**
 * The image's first program finds no disk, refuses to go on and powers the machine off: this last line of the kernel's
 * shows that kernel and programs ran.
 */
const RAN = "reboot: Power down";
/** QEMU keeps a machine whose processor it could not continue: it says so and waits for somebody to look. */
const BROKE = "KVM internal error";

/**
 * How machines run on this host: `kvm` where a machine really boots with it, else `emulated`. The presence of /dev/kvm
 * proves nothing (some nested hosts offer one that cannot run a kernel). Takes up to 5 s; ask once per start.
 *
 * @throws AppError ACCELERATION_MISSING when only emulation is there and it is not allowed.
 */
export async function detectAcceleration(options: {
  image: Image;
  confine: Confine;
  allowEmulation: boolean;
}): Promise<"kvm" | "emulated"> {
  const { image, confine, allowEmulation } = options;
  if (await canOpen("/dev/kvm")) {
    if (await probeBoot({ image, confine, acceleration: "kvm" })) {
      return "kvm";
    }
  }
  if (!allowEmulation) {
    throw new AppError("ACCELERATION_MISSING", "no machine boots with KVM here, and emulation isolates nothing");
  }
  return "emulated";
}

/** True if the image's kernel and first program run. Confined as machines are, so it asks what they will be allowed. */
export async function probeBoot(options: {
  image: Image;
  confine: Confine;
  acceleration: "kvm" | "emulated";
  tscKhz?: number;
  timeoutMs?: number;
}): Promise<boolean> {
  const { image, confine, acceleration, tscKhz, timeoutMs = PROBE_MS } = options;
  const { command, args } = confine(
    {
      uidOffset: uidOffsets.probe.first,
      network: "none",
      binds: [{ from: image.dir, to: "/image", mode: "ro" }],
      env: {},
      ...(acceleration === "kvm" ? { devices: ["/dev/kvm"] } : {}),
      limits: { addressSpaceBytes: PROBE_ADDRESS_SPACE_BYTES, seconds: timeoutMs / 1000 },
    },
    [
      processorCommand({ acceleration, memoryMib: PROBE_MEMORY_MIB, cpus: 1 }),
      ["-kernel", "/image/vmlinux", "-initrd", "/image/initrd.cpio"],
      ["-append", kernelCommandLine({ emulated: acceleration === "emulated", tscKhz }).join(" ")],
    ].flat(),
  );
  const child = spawn(command, args, { cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output = (output + chunk.toString("latin1")).slice(0, OUTPUT_CHARS_MAX);
      if (output.includes(BROKE) || output.includes(RAN)) {
        child.kill("SIGKILL");
      }
    });
  }
  await once(child, "close");
  return output.includes(RAN);
}

async function canOpen(device: string): Promise<boolean> {
  return access(device, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
}
