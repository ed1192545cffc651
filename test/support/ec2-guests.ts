import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { homedir, userInfo } from "node:os";
import { bundleAgent, defaultCacheDir, ensureImage, type Image, kernelCommandLine, measureTscKhz } from "@mayfly/image";
import type { OnInstance } from "../fakes/ec2/guests.ts";
import { eventually, processesNaming } from "./service.ts";

/** The only address the guest's network has besides its own: whoever connects there is at the broker's door. */
const DOOR = "10.0.2.100:8443";
/** The least that Codex and its source have room in. */
const MEMORY_MIB = 2048;
const CPUS = 2;
/** Longer than any test waits for its run: a guest whose test was killed ends by itself. */
const LIFETIME_S = 600;
/** A forwarder ends with the connection it carries; that takes half a second. */
const FORWARDERS_MS = 10_000;
const CONSOLE_CHARS_MAX = 64 * 1024;

/** Real machines where the stand-in for EC2 has none: for each instance an emulated one on this host. */
export interface Ec2Guests {
  readonly onInstance: OnInstance;
  /** The image they boot: what `fleet.ec2.image_digest` names. */
  readonly image: Image;
  /** The last words of every guest so far, the first one's first. */
  consoles(): readonly string[];
}

/**
 * Gets the image of this source, building it if need be.
 *
 * @param options.port The broker's door, on 127.0.0.1. A guest comes there from its instance's address, which has to be one of the loopback network.
 * @param options.pins What the image would be built with; asked for each guest.
 * @param options.lifetimeSeconds What the image would be built with.
 * @param options.onPowerOff Called when a guest has ended by itself, with its instance's id.
 */
export async function createEc2Guests(options: {
  port: number;
  pins: () => Promise<string>;
  lifetimeSeconds?: number;
  onPowerOff: (instance: string) => void;
}): Promise<Ec2Guests> {
  const { lifetimeSeconds = LIFETIME_S } = options;
  const { code } = await bundleAgent();
  const cacheDir = defaultCacheDir({
    uid: userInfo().uid,
    home: homedir(),
    xdgCacheHome: process.env["XDG_CACHE_HOME"],
  });
  const image = await ensureImage({ cacheDir, agentBundle: code });
  const tscKhz = await measureTscKhz({ kernel: image.kernel });
  const consoles: string[] = [];

  return {
    image,
    consoles: () => consoles,
    async onInstance({ id, privateIp }) {
      const pins = await options.pins();
      const forwarder = `/usr/bin/socat - TCP:127.0.0.1:${options.port},bind=${privateIp}`;
      const child = spawn("qemu-system-x86_64", guestCommand({ id, image, tscKhz, pins, forwarder, lifetimeSeconds }), {
        stdio: ["ignore", "pipe", "pipe"],
      });
      const ended = once(child, "close");
      keepConsole(child, consoles);
      let isWanted = true;
      void ended.then(() => (isWanted ? options.onPowerOff(id) : undefined));
      return {
        async stop() {
          isWanted = false;
          child.kill("SIGKILL");
          await ended;
          await forwardersEnded(forwarder);
        },
      };
    },
  };
}

/** As an AMI would be booted, but for the devices: no metadata, no disk that can be written, one address to go to. */
function guestCommand(options: {
  id: string;
  image: Image;
  tscKhz: number;
  pins: string;
  forwarder: string;
  lifetimeSeconds: number;
}): string[] {
  const { id, image, tscKhz, pins, forwarder, lifetimeSeconds } = options;
  const kernel = kernelCommandLine({ emulated: true, tscKhz });
  const own = [`mayfly.broker=${DOOR}`, `mayfly.pins=${pins}`, `mayfly.lifetime_s=${lifetimeSeconds}`];
  // A comma in a value is written twice.
  const forward = `guestfwd=tcp:${DOOR}-cmd:${forwarder.replaceAll(",", ",,")}`;
  return [
    ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none", "-serial", "stdio"],
    ["-M", "microvm,pit=off,pic=off", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"],
    ["-smp", String(CPUS), "-m", String(MEMORY_MIB), "-name", id],
    ["-kernel", image.kernel, "-initrd", image.initrd, "-append", [...kernel, ...own].join(" ")],
    ["-drive", `id=root,file=${image.root},format=raw,if=none,readonly=on`, "-device", "virtio-blk-device,drive=root"],
    ["-device", "virtio-rng-device"],
    ["-netdev", `user,id=net,ipv6=off,restrict=on,${forward}`, "-device", "virtio-net-device,netdev=net"],
  ].flat();
}

function keepConsole(child: ChildProcess, consoles: string[]): void {
  const index = consoles.push("") - 1;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      consoles[index] = `${consoles[index] ?? ""}${text}`.slice(-CONSOLE_CHARS_MAX);
    });
  }
}

async function forwardersEnded(forwarder: string): Promise<void> {
  const line = forwarder.replaceAll(" ", "\0");
  await eventually(
    async () => ((await processesNaming(line)).length === 0 ? true : null),
    FORWARDERS_MS,
    async () => `forwarders left: ${(await processesNaming(line)).join(", ")}`,
  );
}
