/** What tests of and with the stand-in share: a client that tries once, and a template as strict as a fleet wants it. */
import {
  type CreateFleetRequest,
  CreateLaunchTemplateCommand,
  EC2Client,
  type RequestLaunchTemplateData,
} from "@aws-sdk/client-ec2";
import type { Ec2Fake } from "./server.ts";

/** The real SDK's client, without retries. The caller destroys it. */
export function createTestClient({
  url,
  region,
  credentials,
}: Pick<Ec2Fake, "url" | "region" | "credentials">): EC2Client {
  return new EC2Client({ endpoint: url, region, credentials, maxAttempts: 1 });
}

/** A launch template whose machines have no metadata service, no profile, no key pair and no public address. */
export function strictTemplate({ place }: Pick<Ec2Fake, "place">): RequestLaunchTemplateData {
  return {
    ImageId: place.image.id,
    InstanceType: "m7i.large",
    InstanceInitiatedShutdownBehavior: "terminate",
    MetadataOptions: { HttpEndpoint: "disabled", HttpTokens: "required", HttpPutResponseHopLimit: 1 },
    NetworkInterfaces: [
      { DeviceIndex: 0, AssociatePublicIpAddress: false, DeleteOnTermination: true, Groups: [place.group.id] },
    ],
    BlockDeviceMappings: [
      {
        DeviceName: place.image.rootDevice,
        Ebs: {
          VolumeSize: 8,
          VolumeType: "gp3",
          Encrypted: true,
          DeleteOnTermination: true,
          VolumeInitializationRate: 100,
        },
      },
    ],
  };
}

/** Makes a launch template; answers its id. Its version is 1. */
export async function addTemplate(
  client: EC2Client,
  fake: Pick<Ec2Fake, "place">,
  data: RequestLaunchTemplateData = strictTemplate(fake),
): Promise<string> {
  const { LaunchTemplate: template } = await client.send(
    new CreateLaunchTemplateCommand({ LaunchTemplateName: "machines", LaunchTemplateData: data }),
  );
  return template?.LaunchTemplateId ?? "";
}

/** One instant fleet of so many spot machines: three types in the first so many subnets, one type in a single one. */
export function fleetRequest(
  { place }: Pick<Ec2Fake, "place">,
  template: string,
  count: number,
  subnets = place.subnets.length,
): CreateFleetRequest {
  const types = ["m7i.large", "m6i.large", "r7i.large"] as const;
  const chosen = subnets === 1 ? types.slice(0, 1) : types;
  return {
    Type: "instant",
    LaunchTemplateConfigs: [
      {
        LaunchTemplateSpecification: { LaunchTemplateId: template, Version: "1" },
        Overrides: place.subnets
          .slice(0, subnets)
          .flatMap(({ id }) => chosen.map((InstanceType) => ({ InstanceType, SubnetId: id }))),
      },
    ],
    SpotOptions: { AllocationStrategy: "price-capacity-optimized" },
    TargetCapacitySpecification: { TotalTargetCapacity: count, DefaultTargetCapacityType: "spot" },
  };
}
