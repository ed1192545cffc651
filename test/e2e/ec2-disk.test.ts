import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { bundleAgent, defaultCacheDir, type Ec2Disk, ensureEc2Disk, type EnsureEc2DiskOptions } from "@mayfly/image";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { type DoorBench, openDoor } from "../enrolment/door-bench.ts";
import { eventually, processesNaming } from "../support/service.ts";

/** A layer that has to be built first takes minutes; an emulated start by firmware takes one. */
const BUILD_AND_BOOT_MS = 20 * 60_000;
const ENROL_MS = 240_000;
const FORWARDERS_MS = 10_000;
/** A machine whose test was killed ends by itself. */
const LIFETIME_S = 600;
const DOOR = { host: "10.0.2.100", port: 8443 };
/** QEMU's network gives out these. */
const GUEST = "10.0.2.15";
const ROUTER = { address: "10.0.2.2", mac: "52550a000202" };
const HERE = "127.0.0.21";
const FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const FIRMWARE_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd";

let folder: string;
let redis: TestRedis;
let bench: DoorBench;
let child: ChildProcess | null = null;
let wanted: EnsureEc2DiskOptions;
let disk: Ec2Disk;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-ec2-disk-"));
  redis = await startTestRedis();
  bench = await openDoor(redis);
  wanted = {
    cacheDir: defaultCacheDir({ uid: userInfo().uid, home: homedir(), xdgCacheHome: process.env["XDG_CACHE_HOME"] }),
    agentBundle: (await bundleAgent()).code,
    brokers: [DOOR],
    pins: bench.keys.pins,
    lifetimeSeconds: LIFETIME_S,
  };
  disk = await ensureEc2Disk(wanted);
}, BUILD_AND_BOOT_MS);

afterAll(async () => {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill("SIGKILL");
    await once(child, "close");
  }
  // Its pins are this test's own: nobody will ever want it again.
  await rm(dirname(disk.path), { recursive: true, force: true });
  await bench.close();
  await redis.end();
  await rm(folder, { recursive: true, force: true });
});

/**
 * As EC2 boots it, but for the interface: QEMU has no ENA, so virtio on PCI stands in for it. Firmware, partition table,
 * boot program, NVMe, DHCP and everything after it are the same.
 */
function start(capture: string, forwarder: string): ChildProcess {
  const forward = `guestfwd=tcp:${DOOR.host}:${DOOR.port}-cmd:${forwarder.replaceAll(",", ",,")}`;
  return spawn(
    "qemu-system-x86_64",
    [
      ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none", "-serial", "stdio"],
      ["-M", "q35,smm=off", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "2", "-m", "2048"],
      ["-drive", `if=pflash,format=raw,unit=0,readonly=on,file=${FIRMWARE}`],
      ["-drive", `if=pflash,format=raw,unit=1,snapshot=on,file=${FIRMWARE_VARIABLES}`],
      ["-drive", `id=disk,file=${disk.path},format=raw,if=none,snapshot=on`, "-device", "nvme,drive=disk,serial=vol0"],
      // With a router and a resolver on offer, unlike a machine's link in QEMU otherwise: it must not take them.
      ["-netdev", `user,id=net,ipv6=off,${forward}`, "-device", "virtio-net-pci,netdev=net,romfile="],
      ["-object", `filter-dump,id=capture,netdev=net,file=${capture}`],
    ].flat(),
    { stdio: ["ignore", "pipe", "pipe"] },
  );
}

describe("the disk for EC2", () => {
  it(
    "is the same to the byte when it is built again",
    async () => {
      await rm(dirname(disk.path), { recursive: true, force: true });
      expect(await ensureEc2Disk(wanted)).toEqual(disk);
    },
    BUILD_AND_BOOT_MS,
  );

  it(
    "boots by UEFI, enrols at the broker whose key it pins, asks for work, and speaks to nobody else",
    async () => {
      const id = await bench.addMachine(HERE);
      const port = bench.dialFrom(HERE).port;
      const forwarder = `/usr/bin/socat - TCP:127.0.0.1:${port},bind=${HERE}`;
      const capture = join(folder, "capture.pcap");
      let console = "";
      child = start(capture, forwarder);
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => void (console += text));
      }
      await eventually(
        async () => ((await bench.machine(id)).phase === "ready" ? true : null),
        ENROL_MS,
        async () => `the machine is not ready (${child?.exitCode ?? "it runs"}) and said:\n${console}`,
      );
      expect(await bench.machine(id)).toMatchObject({ phase: "ready", enrolled: { address: HERE } });
      expect(bench.door.refused()).toEqual({});

      const ended = once(child, "close");
      child.kill("SIGKILL");
      await ended;
      const line = forwarder.replaceAll(" ", "\0");
      await eventually(
        async () => ((await processesNaming(line)).length === 0 ? true : null),
        FORWARDERS_MS,
        async () => `forwarders are left: ${(await processesNaming(line)).join(", ")}`,
      );
      const sent = sentBy(readFrames(await readFile(capture)));
      expect(sent.others).toEqual([]);
      expect(sent.toBroker).toBeGreaterThan(10);
    },
    BUILD_AND_BOOT_MS,
  );
});

/** The frames of a capture (libpcap's savefile format), as they passed. */
function readFrames(capture: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 24; at + 16 <= capture.length;) {
    const length = capture.readUInt32LE(at + 8);
    frames.push(capture.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}

/**
 * What the system sent, counted or in words. It begins with its question for an address: what came before it, the
 * firmware said.
 */
function sentBy(frames: readonly Buffer[]): { toBroker: number; others: string[] } {
  const own = frames.filter((frame) => frame.toString("hex", 6, 12) !== ROUTER.mac);
  const first = own.findIndex((frame) => kindOf(frame) === "dhcp");
  const kinds = own.slice(first === -1 ? 0 : first).map(kindOf);
  const expected = ["dhcp", "arp for the router", "broker"];
  return {
    toBroker: kinds.filter((kind) => kind === "broker").length,
    others: [...new Set(kinds.filter((kind) => !expected.includes(kind)))],
  };
}

function kindOf(frame: Buffer): string {
  const type = frame.readUInt16BE(12);
  const target = frame.toString("hex", 0, 6);
  if (type === 0x0806) {
    const asked = [...frame.subarray(38, 42)].join(".");
    return asked === ROUTER.address ? "arp for the router" : `arp for ${asked}`;
  }
  if (type !== 0x0800) {
    return `ethernet type ${type.toString(16)}`;
  }
  const ip = frame.subarray(14);
  const [from, to] = [[...ip.subarray(12, 16)].join("."), [...ip.subarray(16, 20)].join(".")];
  const transport = ip.subarray((ip.readUInt8(0) & 0x0f) * 4);
  const [protocol, port] = [ip.readUInt8(9), transport.readUInt16BE(2)];
  if (protocol === 17 && from === "0.0.0.0" && to === "255.255.255.255" && port === 67) {
    return "dhcp";
  }
  const isBroker = protocol === 6 && from === GUEST && to === DOOR.host && port === DOOR.port && target === ROUTER.mac;
  return isBroker ? "broker" : `protocol ${protocol} to ${to}:${port} over ${target}`;
}
