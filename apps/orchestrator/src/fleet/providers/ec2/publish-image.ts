import { createHash } from "node:crypto";
import {
  DescribeImagesCommand,
  DescribeSnapshotsCommand,
  type EC2Client,
  type Image,
  RegisterImageCommand,
  type Snapshot,
} from "@aws-sdk/client-ec2";
import type { EBSClient } from "@aws-sdk/client-ebs";
import { AppError, type Clock } from "@mayfly/core";
import { bounded, inOneLine, type Pause, saidBy } from "./ec2-client.ts";
import { codeOf, faultOf } from "./ec2-faults.ts";
import { imageTagKeys } from "./image-tags.ts";
import { readPages } from "./pages.ts";
import { type DiskFile, uploadSnapshot } from "./snapshot-upload.ts";

/** EBS stores a snapshot of some hundred MiB in a minute or two. */
const STORED_MS_MAX = 30 * 60_000;
const STORED_POLL_MS = 5_000;
/** An image just registered may not be listed yet. */
const REGISTER_TRIES_MAX = 5;
const REGISTER_PAUSE_MS = 2_000;
/** What the recipe's machines call their only disk. */
const ROOT_DEVICE = "/dev/xvda";
/** Digits of the digest in the image's name: enough that no two disks share one. */
const NAME_DIGITS = 32;
/** Digits for the key, where there is one: a handful of keys need no more. */
const KEY_DIGITS = 8;
/** EC2's own bound for a page of snapshots. */
const PAGE_ITEMS = 1_000;

export interface PublishOptions {
  readonly ec2: EC2Client;
  readonly ebs: EBSClient;
  readonly disk: DiskFile;
  /** Whose image it is: the tag that the publisher's rights go by, and the beginning of the image's name. */
  readonly name: string;
  /** The ARN of a key, which `keyProblem` has nothing to say against; null for the account's own one for EBS. */
  readonly kmsKey: string | null;
  readonly clock: Clock;
  readonly pause: Pause;
  readonly signal: AbortSignal;
  readonly say: (message: string) => void;
}

export interface PublishedImage {
  readonly image: string;
  readonly snapshot: string;
}

/**
 * What is wrong with a key as it was given, and what to do; null for the ARN of a key of that region. EBS takes nothing
 * else, and says so only after the disk was read.
 */
export function keyProblem(key: string, region: string): string | null {
  if (/(?:^|:)alias\//.test(key)) {
    return `${key} is an alias, and EBS takes the ARN of a key: aws kms describe-key --key-id ${key} says it`;
  }
  const [, found] = KEY_ARN.exec(key) ?? [];
  if (found === undefined) {
    return `${key} is not the ARN of a key, such as arn:aws:kms:${region}:111122223333:key/01234567-89ab-cdef-0123-456789abcdef`;
  }
  return found === region ? null : `${key} is a key of ${found}: the image is made in ${region}, and needs one there`;
}

/** Limit: what KMS makes, keys of one region and of several. */
const KEY_ARN = /^arn:aws[a-z-]{0,16}:kms:([a-z0-9-]{1,32}):\d{12}:key\/(?:mrk-)?[0-9a-f-]{32,36}$/;

/**
 * Makes an AMI of a disk, or finds the one that was made of it before: the name holds the digests of the disk and of the
 * key, and the same disk has one snapshot for each key. Stopped half-way nothing is registered, and the next call finishes
 * what was begun; EBS gives it up by itself after an hour. Throws PROVIDER_UNAVAILABLE with what AWS said.
 */
export async function publishImage(options: PublishOptions): Promise<PublishedImage> {
  const known = await findImage(options);
  if (known !== null) {
    options.say("this disk is published already");
    return known;
  }
  const snapshot = await ensureSnapshot(options);
  options.signal.throwIfAborted();
  return register(options, snapshot);
}

/** What makes an image the one that is meant. */
type Identity = Pick<PublishOptions, "name" | "disk" | "kmsKey">;

function imageName({ name, disk, kmsKey }: Identity): string {
  const made = disk.digest.slice("sha256:".length, "sha256:".length + NAME_DIGITS);
  const key = kmsKey === null ? "" : `-${createHash("sha256").update(kmsKey).digest("hex").slice(0, KEY_DIGITS)}`;
  return `${name}-machine-${made}${key}`;
}

function tagsOf({ name, disk, kmsKey }: Identity): { Key: string; Value: string }[] {
  return [
    { Key: imageTagKeys.image, Value: name },
    { Key: imageTagKeys.digest, Value: disk.digest },
    { Key: imageTagKeys.key, Value: kmsKey ?? "default" },
  ];
}

function filtersOf(options: Identity): { Name: string; Values: string[] }[] {
  return tagsOf(options).map(({ Key: key, Value: value }) => ({ Name: `tag:${key}`, Values: [value] }));
}

async function findImage(options: PublishOptions): Promise<PublishedImage | null> {
  const request = { Owners: ["self"], Filters: [{ Name: "name", Values: [imageName(options)] }] };
  const [image] = await readPages("machine images", options.pause, async (NextToken) => {
    const page = await options.ec2.send(new DescribeImagesCommand({ ...request, NextToken }), bounded());
    return { items: page.Images, next: page.NextToken };
  });
  return image === undefined ? null : publishedOf(options, image);
}

/** A name is a claim; the tag and the disk beneath are what count. */
function publishedOf(options: PublishOptions, image: Image): PublishedImage {
  const { ImageId: id, Tags: tags = [], BlockDeviceMappings: disks = [], State: state } = image;
  const snapshot = disks[0]?.Ebs?.SnapshotId;
  const isTagged = tagsOf(options).every(({ Key: key, Value: value }) =>
    tags.some((tag) => tag.Key === key && tag.Value === value),
  );
  if (id === undefined || snapshot === undefined || !isTagged || disks.length !== 1) {
    const name = imageName(options);
    throw new AppError(
      "INPUT_INVALID",
      `there is an image ${name} that was not made of this disk for this name and key: deregister it`,
    );
  }
  if (state !== "available" && state !== "pending") {
    throw new AppError("PROVIDER_UNAVAILABLE", `the image ${id} is ${inOneLine(state ?? "")}: deregister it`);
  }
  return { image: id, snapshot };
}

async function ensureSnapshot(options: PublishOptions): Promise<string> {
  const { ebs, disk, kmsKey, pause, signal, say } = options;
  const [ready] = await findSnapshots(options, ["completed"]);
  if (ready?.SnapshotId !== undefined) {
    say(`the snapshot ${ready.SnapshotId} is there already`);
    return ready.SnapshotId;
  }
  const begun = await findSnapshots(options, ["pending"]);
  let told = -1;
  const id = await uploadSnapshot({
    ebs,
    disk,
    kmsKey,
    pause,
    signal,
    tags: tagsOf(options),
    begunBefore: new Set(begun.map(({ SnapshotId: id = "" }) => id)),
    stateOf: async (id) => stateOf((await findSnapshots(options, ["pending", "completed", "error"])).find(isNamed(id))),
    onBlocks(done, all) {
      const tenth = Math.floor((done / all) * 10);
      if (tenth !== told) {
        told = tenth;
        say(`written: ${tenth * 10}% of ${all} blocks`);
      }
    },
  });
  await waitUntilStored(options, id);
  return id;
}

async function findSnapshots(options: PublishOptions, states: string[]): Promise<Snapshot[]> {
  const Filters = [...filtersOf(options), { Name: "status", Values: states }];
  const request = { OwnerIds: ["self"], Filters, MaxResults: PAGE_ITEMS };
  return readPages("snapshots", options.pause, async (NextToken) => {
    const page = await options.ec2.send(new DescribeSnapshotsCommand({ ...request, NextToken }), bounded());
    return { items: page.Snapshots, next: page.NextToken };
  });
}

function stateOf(snapshot: Snapshot | undefined): "pending" | "completed" | "failed" | null {
  switch (snapshot?.State) {
    case undefined:
      return null;
    case "pending":
    case "completed":
      return snapshot.State;
    default:
      return "failed";
  }
}

function isNamed(id: string): (snapshot: Snapshot) => boolean {
  return ({ SnapshotId: found }) => found === id;
}

async function waitUntilStored(options: PublishOptions, id: string): Promise<void> {
  const { clock, pause, signal, say } = options;
  const until = clock.now() + STORED_MS_MAX;
  say(`the snapshot ${id} is written; EBS stores it`);
  for (;;) {
    const found = (await findSnapshots(options, ["completed", "error"])).find(isNamed(id));
    if (found?.State === "completed") {
      return;
    }
    if (found !== undefined || clock.now() > until) {
      const when = found === undefined ? "in an hour, when EBS has given it up, or delete it and publish" : "publish";
      throw new AppError("PROVIDER_UNAVAILABLE", `EBS does not store the snapshot ${id}: ${when} again`);
    }
    signal.throwIfAborted();
    await pause(STORED_POLL_MS);
  }
}

async function register(options: PublishOptions, snapshot: string): Promise<PublishedImage> {
  const { ec2, disk, pause } = options;
  const Tags = tagsOf(options);
  const request = {
    Name: imageName(options),
    Description: `Mayfly machine image ${disk.digest}`,
    Architecture: "x86_64" as const,
    VirtualizationType: "hvm",
    BootMode: "uefi" as const,
    EnaSupport: true,
    ImdsSupport: "v2.0" as const,
    RootDeviceName: ROOT_DEVICE,
    BlockDeviceMappings: [
      {
        DeviceName: ROOT_DEVICE,
        Ebs: { SnapshotId: snapshot, VolumeType: "gp3" as const, DeleteOnTermination: true },
      },
    ],
    TagSpecifications: [{ ResourceType: "image" as const, Tags }],
  };
  for (let tries = 1; ; tries++) {
    try {
      const { ImageId: image = "" } = await ec2.send(new RegisterImageCommand(request), bounded());
      return { image, snapshot };
    } catch (error) {
      // Registered by a call whose answer was lost, or by somebody at the same time: it is the same image.
      const made = codeOf(error) === "InvalidAMIName.Duplicate" ? await findImage(options) : null;
      if (made !== null) {
        return made;
      }
      const mayPass = codeOf(error) === "InvalidAMIName.Duplicate" || ["throttled", "unknown"].includes(faultOf(error));
      if (tries >= REGISTER_TRIES_MAX || !mayPass) {
        throw new AppError("PROVIDER_UNAVAILABLE", `EC2 does not register the image: ${saidBy(error)}`, {
          cause: error,
        });
      }
      await pause(REGISTER_PAUSE_MS * tries);
    }
  }
}
