import {
  DescribeImagesCommand,
  DescribeLaunchTemplateVersionsCommand,
  type EC2Client,
  type Image,
  type ResponseLaunchTemplateData,
} from "@aws-sdk/client-ec2";
import { AppError, type Digest } from "@mayfly/core";
import { bounded, inOneLine, type Pause, read } from "./ec2-client.ts";
import { imageTagKeys } from "./image-tags.ts";

/** A version of a launch template. It never changes. */
export interface TemplateVersion {
  readonly id: string;
  readonly version: string;
}

/** One thing that is not as machines need it, and what to do. */
export interface Slip {
  readonly seen: string;
  readonly fix: string;
}

/** What a launch template would make of a machine. */
export interface TemplateLook {
  /** Empty if it may be launched from. */
  readonly slips: readonly Slip[];
  /** The AMI that it names; null where it names none by its id. */
  readonly imageId: string | null;
  /** The security groups of its network interface. */
  readonly groups: readonly string[];
}

/**
 * Reads a launch template and the AMI it names, and says all by which a credential could come into a machine, or by which
 * a machine could be reached or outlive its end. Throws PROVIDER_UNAVAILABLE when EC2 does not say.
 *
 * @param options.image What the AMI must have been made from, by its tag: only its own account can set or see that.
 */
export async function lookAtTemplate(options: {
  ec2: EC2Client;
  pause: Pause;
  template: TemplateVersion;
  image: Digest;
}): Promise<TemplateLook> {
  const { ec2, pause, template, image } = options;
  const request = { LaunchTemplateId: template.id, Versions: [template.version] };
  const { LaunchTemplateVersions: versions = [] } = await read("launch template", pause, () =>
    ec2.send(new DescribeLaunchTemplateVersionsCommand(request), bounded()),
  );
  const data = versions.find(({ VersionNumber: number }) => String(number) === template.version)?.LaunchTemplateData;
  if (data === undefined) {
    throw new AppError("PROVIDER_UNAVAILABLE", `EC2 lists no version ${template.version} of ${template.id}`);
  }
  const imageId = /^ami-[0-9a-f]{8,17}$/.test(data.ImageId ?? "") ? (data.ImageId ?? null) : null;
  const ami = imageId === null ? null : await readImage(ec2, pause, imageId);
  return {
    slips: [...templateSlips(data), ...imageSlips(imageId, ami, image), ...diskSlips(data, ami)],
    imageId,
    groups: data.NetworkInterfaces?.[0]?.Groups ?? [],
  };
}

async function readImage(ec2: EC2Client, pause: Pause, id: string): Promise<Image | null> {
  const { Images: images = [] } = await read("machine image", pause, () =>
    ec2.send(new DescribeImagesCommand({ ImageIds: [id], Owners: ["self"] }), bounded()),
  );
  return images.find(({ ImageId: found }) => found === id) ?? null;
}

/** Anything but the one value that is meant is a slip: EC2's own defaults are the lax ones. */
function templateSlips(data: ResponseLaunchTemplateData): Slip[] {
  const { MetadataOptions: metadata, IamInstanceProfile: profile, NetworkInterfaces: cards = [] } = data;
  const [card] = cards;
  const endpoint = metadata?.HttpEndpoint ?? "enabled";
  const shutdown = data.InstanceInitiatedShutdownBehavior ?? "stop";
  const wrong: [boolean, string, string][] = [
    [endpoint !== "disabled", `metadata service ${endpoint}`, "set MetadataOptions.HttpEndpoint to disabled"],
    [profile !== undefined, "an instance profile", "remove IamInstanceProfile"],
    [(data.UserData ?? "") !== "", "user data", "remove UserData"],
    [data.KeyName !== undefined, "a key pair", "remove KeyName"],
    [shutdown !== "terminate", `shutdown means ${shutdown}`, "set InstanceInitiatedShutdownBehavior to terminate"],
    [data.DisableApiTermination === true, "protected from termination", "remove DisableApiTermination"],
    [cards.length !== 1, `${cards.length} network interfaces`, "describe one network interface, with its groups"],
    [
      card !== undefined && card.AssociatePublicIpAddress !== false,
      "a public address is not refused",
      "set AssociatePublicIpAddress of the network interface to false",
    ],
    [
      card !== undefined && hasMoreAddresses(card),
      "further addresses",
      "remove NetworkInterfaceId, Ipv6…, carrier and secondary addresses of the network interface",
    ],
    [
      card !== undefined && card.DeleteOnTermination !== true,
      "the network interface outlives its machine",
      "set DeleteOnTermination of the network interface to true",
    ],
    [
      card !== undefined && (card.Groups ?? []).length === 0,
      "the network interface has no security group",
      "name the machines' security group in Groups of the network interface",
    ],
  ];
  return wrong.filter(([isWrong]) => isWrong).map(([, seen, fix]) => ({ seen, fix }));
}

type Card = NonNullable<ResponseLaunchTemplateData["NetworkInterfaces"]>[number];

function hasMoreAddresses(card: Card): boolean {
  return (
    card.NetworkInterfaceId !== undefined ||
    card.AssociateCarrierIpAddress === true ||
    (card.Ipv6AddressCount ?? 0) > 0 ||
    (card.Ipv6Addresses ?? []).length > 0 ||
    (card.Ipv6Prefixes ?? []).length > 0 ||
    (card.Ipv6PrefixCount ?? 0) > 0 ||
    (card.SecondaryPrivateIpAddressCount ?? 0) > 0 ||
    (card.PrivateIpAddresses ?? []).length > 0 ||
    (card.Ipv4Prefixes ?? []).length > 0 ||
    (card.Ipv4PrefixCount ?? 0) > 0
  );
}

function imageSlips(id: string | null, ami: Image | null, wanted: Digest): Slip[] {
  if (id === null) {
    return [{ seen: "no AMI named by its id", fix: "set ImageId to the id that mayfly image publish printed" }];
  }
  if (ami === null) {
    const fix = "publish the image in this account and region, and set ImageId to what mayfly image publish printed";
    return [{ seen: `${id} is not an image of this account`, fix }];
  }
  if (ami.State !== "available") {
    const fix = "wait until it is available, or publish the image again";
    return [{ seen: `${id} is ${inOneLine(ami.State ?? "in no state")}`, fix }];
  }
  const digest = ami.Tags?.find(({ Key: key }) => key === imageTagKeys.digest)?.Value ?? null;
  if (digest === wanted) {
    return [];
  }
  const seen =
    digest === null
      ? `${id} has no tag ${imageTagKeys.digest}`
      : `${id} was made from ${inOneLine(digest)}, not from ${wanted}`;
  const fix = "set fleet.ec2.image_digest to the digest of the AMI, or the launch template to the AMI of the digest";
  return [{ seen, fix: digest === null ? "set ImageId to the id that mayfly image publish printed" : fix }];
}

/** Every disk that the machine would have: the template's, and those that the AMI adds. */
function diskSlips(data: ResponseLaunchTemplateData, ami: Image | null): Slip[] {
  const own = new Map((data.BlockDeviceMappings ?? []).map((disk) => [disk.DeviceName ?? "", disk]));
  const devices = new Set([...own.keys(), ...(ami?.BlockDeviceMappings ?? []).map((disk) => disk.DeviceName ?? "")]);
  return [...devices].flatMap((device): Slip[] => {
    const disk = own.get(device)?.Ebs;
    if (own.get(device)?.NoDevice !== undefined) {
      return [];
    }
    const name = inOneLine(device);
    const open = { seen: `the disk ${name} is not encrypted`, fix: `set Encrypted of ${name} to true` };
    const kept = { seen: `the disk ${name} outlives its machine`, fix: `set DeleteOnTermination of ${name} to true` };
    const strange = { seen: `the disk ${name} is not the AMI's own`, fix: `remove ${name} from BlockDeviceMappings` };
    const filled = { seen: `the disk ${name} comes from a snapshot of its own`, fix: `remove SnapshotId of ${name}` };
    return [
      ...(ami === null || device === ami.RootDeviceName ? [] : [strange]),
      ...(disk?.SnapshotId === undefined ? [] : [filled]),
      ...(disk?.Encrypted === true ? [] : [open]),
      ...(disk?.DeleteOnTermination === true ? [] : [kept]),
    ];
  });
}
