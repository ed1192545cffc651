import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { AppError, type Digest } from "@mayfly/core";
import { createEc2Client, systemPause } from "../fleet/providers/ec2/ec2-client.ts";
import { createEbsClient } from "../fleet/providers/ec2/ebs-client.ts";
import { keyProblem, publishImage } from "../fleet/providers/ec2/publish-image.ts";
import type { DiskFile } from "../fleet/providers/ec2/snapshot-upload.ts";
import { systemClock } from "../host/clock.ts";
import { createProgress } from "./progress.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface ImagePublishFlags {
  readonly config?: string;
  readonly region?: string;
  readonly name?: string;
  readonly kmsKey?: string;
  readonly endpoint?: string;
  readonly ebsEndpoint?: string;
  readonly json?: boolean;
}

/** The volumes of `infra/cdk` are not larger, and a disk that is was not made by `mayfly image build`. */
const DISK_BYTES_MAX = 8 * 1024 ** 3;
/** Stopped by the person: what a shell says of Ctrl-C. */
const STOPPED = 130;

/** `mayfly image publish`: exit code 0 with the AMI's id. Repeated with the same file it finds the same AMI. */
export async function imagePublish(terminal: Terminal, path: string, flags: ImagePublishFlags): Promise<number> {
  const settings = loadSettings(terminal, { config: flags.config }).fleet.ec2;
  const region = flags.region ?? settings?.region;
  if (region === undefined) {
    throw new AppError("CONFIG_INVALID", "name the region: --region, or all of fleet.ec2 in the settings");
  }
  const problem = flags.kmsKey === undefined ? null : keyProblem(flags.kmsKey, region);
  if (problem !== null) {
    throw new AppError("INPUT_INVALID", `--kms-key: ${problem}`);
  }
  const stopping = new AbortController();
  terminal.onStop(() => stopping.abort());
  const progress = createProgress(terminal);
  const ec2 = createEc2Client({ region, endpoint: flags.endpoint ?? settings?.endpoint ?? null });
  const ebs = createEbsClient({ region, endpoint: flags.ebsEndpoint ?? null });
  const disk = await openDisk(path);
  try {
    const name = flags.name ?? settings?.fleet ?? "mayfly";
    const { image, snapshot } = await publishImage({
      ec2,
      ebs,
      disk,
      name,
      kmsKey: flags.kmsKey ?? null,
      clock: systemClock,
      pause: systemPause,
      signal: stopping.signal,
      say: progress.say,
    });
    const published = { image, snapshot, digest: disk.digest, region };
    terminal.stdout(flags.json === true ? `${JSON.stringify(published)}\n` : `${image}\n${snapshot}\n${disk.digest}\n`);
    return 0;
  } catch (error) {
    if (!stopping.signal.aborted) {
      throw error;
    }
    terminal.stderr("stopped: nothing is registered, and the same command goes on where this one ended\n");
    return STOPPED;
  } finally {
    await disk.handle.close();
    ec2.destroy();
    ebs.destroy();
  }
}

async function openDisk(path: string): Promise<DiskFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (cause) {
    throw new AppError("INPUT_INVALID", `the disk ${path} cannot be read: mayfly image build --for ec2 makes one`, {
      cause,
    });
  }
  try {
    const stat = await handle.stat({ bigint: true });
    if (!stat.isFile() || stat.size === 0n || stat.size > DISK_BYTES_MAX) {
      throw new AppError("INPUT_INVALID", `${path} must be a disk's file of at most ${DISK_BYTES_MAX} bytes`);
    }
    const hash = createHash("sha256");
    for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) {
      hash.update(chunk as Buffer);
    }
    const isSame = async (): Promise<boolean> => {
      const { size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
      return size === stat.size && mtimeNs === stat.mtimeNs && ctimeNs === stat.ctimeNs;
    };
    return { handle, bytes: Number(stat.size), digest: `sha256:${hash.digest("hex")}` as Digest, isSame };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
