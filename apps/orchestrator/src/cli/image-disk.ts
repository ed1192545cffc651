import { randomUUID } from "node:crypto";
import { constants, copyFile, mkdir, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { AppError, type Brokers, BROKERS_MAX, isPin, parseBrokers, PINS_MAX } from "@mayfly/core";
import { bundleAgent, type Ec2Disk, ensureEc2Disk } from "@mayfly/image";
import { createProgress } from "./progress.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface ImageDiskFlags {
  readonly broker?: string;
  readonly pins?: string;
  readonly out?: string;
  readonly frozen?: boolean;
  readonly json?: boolean;
}

/**
 * The longest that any machine may live, whatever the settings of the day it is launched on. The longest run that they
 * can name is a day; to boot, to wait and to hand in the result take less than two hours.
 */
const LIFETIME_S = 26 * 60 * 60;

/** `mayfly image build --for ec2`: a disk for EC2, which `mayfly image publish` takes. The same input is the same bytes. */
export async function imageDisk(terminal: Terminal, flags: ImageDiskFlags): Promise<number> {
  const brokers = readBrokers(flags.broker);
  const pins = readPins(flags.pins);
  const { cacheDir } = loadSettings(terminal, {});
  const progress = createProgress(terminal);
  await mkdir(cacheDir, { recursive: true, mode: 0o755 });
  const { code } = await bundleAgent();
  let last = "";
  const disk = await ensureEc2Disk({
    cacheDir,
    brokers,
    pins,
    agentBundle: code,
    lifetimeSeconds: LIFETIME_S,
    frozen: flags.frozen ?? false,
    onProgress({ message }) {
      if (message !== last) {
        last = message;
        progress.say(`image: ${message}`);
      }
    },
  });
  const path = flags.out === undefined ? disk.path : await copyOut(disk, resolve(flags.out));
  const { bytes, digest } = disk;
  terminal.stdout(
    flags.json === true ? `${JSON.stringify({ path, bytes, digest })}\n` : `${digest}\n${bytes}\n${path}\n`,
  );
  return 0;
}

function readBrokers(text: string | undefined): Brokers {
  const brokers = text === undefined ? null : parseBrokers(text);
  if (brokers === null) {
    throw new AppError(
      "INPUT_INVALID",
      `--broker ${text ?? "is missing"}: name the broker's addresses as its machines see them, at most ${BROKERS_MAX}, such as 10.0.1.10:8443,10.0.2.10:8443 (no names: a machine has nobody to ask)`,
    );
  }
  return brokers;
}

function readPins(text: string | undefined): readonly string[] {
  const pins = text === undefined ? [] : text.split(",");
  if (pins.length === 0 || pins.length > PINS_MAX || !pins.every(isPin)) {
    throw new AppError(
      "INPUT_INVALID",
      `--pins ${text ?? "is missing"}: give the broker's pin and the next one, PIN,PIN, as mayfly fleet pins prints them`,
    );
  }
  return pins;
}

/** In one step: a file of that name is never half a disk. Under a name that nobody can have put a link at. */
async function copyOut(disk: Ec2Disk, out: string): Promise<string> {
  const half = `${out}.${randomUUID()}.half`;
  try {
    await copyFile(disk.path, half, constants.COPYFILE_EXCL);
    await rename(half, out);
  } catch (cause) {
    await rm(half, { force: true });
    throw new AppError("INPUT_INVALID", `--out ${out} cannot be written: is ${dirname(out)} a folder of yours?`, {
      cause,
    });
  }
  return out;
}
