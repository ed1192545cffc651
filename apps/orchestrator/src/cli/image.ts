import { AppError, type Config } from "@mayfly/core";
import { type Image, lockImage, lockPath, verifyImage } from "@mayfly/image";
import { prepareImage } from "../process/machine-host.ts";
import { type ImageDiskFlags, imageDisk } from "./image-disk.ts";
import { createProgress } from "./progress.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** `mayfly image build`: for this host's QEMU, or a disk for EC2. */
export async function imageBuild(terminal: Terminal, flags: ImageDiskFlags & { for: "qemu" | "ec2" }): Promise<number> {
  if (flags.for === "ec2") {
    return imageDisk(terminal, flags);
  }
  const onlyForEc2 = (["broker", "pins", "out"] as const).find((name) => flags[name] !== undefined);
  if (onlyForEc2 !== undefined) {
    throw new AppError("INPUT_INVALID", `--${onlyForEc2} is for a disk for EC2 alone: add --for ec2`);
  }
  const config = loadSettings(terminal, {});
  const image = await prepareImage(config, createProgress(terminal), { frozen: flags.frozen ?? false, recheck: true });
  terminal.stdout(flags.json === true ? `${JSON.stringify(summaryOf(image))}\n` : `${image.digest}\n${image.dir}\n`);
  return 0;
}

/** `mayfly image verify`: exit code 1 and every difference if the image is not what its digest says. */
export async function imageVerify(terminal: Terminal, flags: { json?: boolean }): Promise<number> {
  const config: Config = loadSettings(terminal, {});
  const image = await prepareImage(config, createProgress(terminal));
  const verified = await verifyImage(image.dir);
  if (flags.json === true) {
    terminal.stdout(
      `${JSON.stringify({ ...summaryOf(image), ok: verified.ok, problems: verified.ok ? [] : verified.problems })}\n`,
    );
  } else {
    terminal.stdout(
      `${image.digest}  ${verified.ok ? "every byte is as its digest says" : "NOT as its digest says"}\n`,
    );
  }
  if (!verified.ok) {
    throw new AppError("IMAGE_INVALID", `${image.dir}: ${verified.problems.join("; ")}`);
  }
  return 0;
}

/** `mayfly image lock` */
export async function imageLock(terminal: Terminal, flags: { json?: boolean }): Promise<number> {
  const { cacheDir } = loadSettings(terminal, {});
  const progress = createProgress(terminal);
  const { changed } = await lockImage({
    cacheDir,
    lockPath,
    onProgress: ({ message }) => progress.say(`image: ${message}`),
  });
  if (flags.json === true) {
    terminal.stdout(`${JSON.stringify({ changed })}\n`);
  } else {
    for (const { name, locked, used } of changed) {
      terminal.stdout(`${name}  ${locked} -> ${used}\n`);
    }
    terminal.stderr(changed.length === 0 ? "The lock file was up to date.\n" : `${changed.length} packages changed.\n`);
  }
  return 0;
}

function summaryOf(image: Image): { digest: string; dir: string; substituted: unknown } {
  return { digest: image.digest, dir: image.dir, substituted: image.manifest.substituted };
}
