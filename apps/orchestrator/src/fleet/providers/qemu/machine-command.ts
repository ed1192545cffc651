import { limits, type MachineId } from "@mayfly/core";
import { type Image, kernelCommandLine } from "@mayfly/image";
import type { Bind, Confinement } from "../../../confine/confinement.ts";
import type { MachineFolder } from "./machine-folder.ts";

/** The one address a machine can reach: QEMU's name for the forwarder on the loopback of its empty network. */
const BROKER = "10.0.2.2:8080";

/** The size and kind of every machine of one provider. */
export interface MachineShape {
  readonly acceleration: "kvm" | "emulated";
  readonly memoryMib: number;
  readonly cpus: number;
  /** QEMU can write its guest's memory out. For tests that look for secrets in it. */
  readonly debugDump: boolean;
}

/** Emulation translates code into a cache of this size; larger ones gained nothing. */
const TRANSLATION_MIB = 256;
/** What QEMU maps beside the guest's memory: libraries, thread stacks and arenas. Reserved more than used. */
const OVERHEAD_MIB = 2048;
/** QEMU's threads (a pool of up to 64 for its disk) and the forwarder's processes, one for each connection. */
const PROCESSES_MAX = 256;
const OPEN_FILES_MAX = 512;
const MIB = 1024 * 1024;

/** The address the guest finds the broker at is QEMU's for "the host": 10.0.2.2. */
const BROKER_PORT = 8080;
/** Connections at once. More wait in the listener's queue; the broker allows no more either. */
const CONNECTIONS_MAX = 64;
/** An answer may come this long after its question's end of stream. Streams that end on neither side are not timed. */
const HALF_CLOSE_S = limits.modelIdleMs / 1000;

/**
 * A constant script inside the confinement: the console must not end the machine when its file is full, one forwarder
 * leads from the empty network to the broker's socket, and QEMU takes the shell's place.
 */
const START = [
  'trap "" XFSZ',
  `/usr/bin/socat -t ${HALF_CLOSE_S}` +
    ` TCP-LISTEN:${BROKER_PORT},bind=127.0.0.1,reuseaddr,backlog=128,fork,max-children=${CONNECTIONS_MAX}` +
    " UNIX-CONNECT:/channel/broker.sock </dev/null &",
  'exec "$@"',
].join("\n");

/** What QEMU may reach of the host: the image, its own two socket folders, and the processor. All read-only. */
export function confineMachine(options: {
  shape: MachineShape;
  image: Image;
  folder: MachineFolder;
  uidOffset: number;
  seconds: number;
}): Confinement {
  const { shape, image, folder, uidOffset, seconds } = options;
  const dump: Bind[] = shape.debugDump ? [{ from: folder.dump, to: "/dump", mode: "rw" }] : [];
  const accelerated = shape.acceleration === "kvm";
  const addressSpaceMib = shape.memoryMib + OVERHEAD_MIB + (accelerated ? 0 : TRANSLATION_MIB);
  return {
    uidOffset,
    network: "none",
    binds: [
      { from: image.dir, to: "/image", mode: "ro" },
      { from: folder.channel, to: "/channel", mode: "ro" },
      { from: folder.qmp, to: "/qmp", mode: "ro" },
      ...dump,
    ],
    env: { PATH: "/usr/bin" },
    ...(accelerated ? { devices: ["/dev/kvm"] } : {}),
    limits: {
      addressSpaceBytes: addressSpaceMib * MIB,
      processes: PROCESSES_MAX,
      openFiles: OPEN_FILES_MAX,
      // The console is the only file it writes, and goes on without it.
      fileBytes: shape.debugDump ? addressSpaceMib * MIB : limits.consoleBytesMax,
      seconds,
    },
  };
}

/** The command of a machine inside its confinement. */
export function machineCommand(options: {
  id: MachineId;
  shape: MachineShape;
  tscKhz: number | undefined;
  seconds: number;
}): string[] {
  const { id, shape, tscKhz, seconds } = options;
  const kernel = kernelCommandLine({ emulated: shape.acceleration === "emulated", tscKhz });
  return [
    ["/bin/sh", "-c", START, "sh"],
    processorCommand(shape),
    ["-name", id],
    ["-kernel", "/image/vmlinux", "-initrd", "/image/initrd.cpio"],
    ["-append", [...kernel, `mayfly.broker=${BROKER}`, `mayfly.lifetime_s=${seconds}`].join(" ")],
    [
      "-drive",
      "id=root,file=/image/root.erofs,format=raw,if=none,readonly=on",
      "-device",
      "virtio-blk-device,drive=root",
    ],
    ["-device", "virtio-rng-device"],
    ["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-device,netdev=net"],
    ["-chardev", "socket,id=qmp,path=/qmp/qmp.sock,reconnect=1", "-mon", "chardev=qmp,mode=control"],
  ].flat();
}

/** The part of the command that any boot of a kernel shares: the processor, the console, and nothing else. */
export function processorCommand(shape: Pick<MachineShape, "acceleration" | "memoryMib" | "cpus">): string[] {
  const accelerator = {
    kvm: ["-accel", "kvm", "-cpu", "host"],
    emulated: ["-accel", `tcg,thread=multi,tb-size=${TRANSLATION_MIB}`, "-cpu", "max"],
  }[shape.acceleration];
  return [
    ["/usr/bin/qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ["-M", "microvm,pit=off,pic=off", ...accelerator, "-smp", String(shape.cpus), "-m", String(shape.memoryMib)],
    ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console", "-monitor", "none"],
  ].flat();
}
