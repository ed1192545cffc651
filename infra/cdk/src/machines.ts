import { CfnLaunchTemplate } from "aws-cdk-lib/aws-ec2";
import type { Construct } from "constructs";
import type { MachineNetwork } from "./network.ts";
import type { Parameters } from "./parameters.ts";
import { DEPLOYMENT_TAG, FLEET_TAG } from "./tags.ts";

/** What an image of the recipe calls its only disk. */
const ROOT_DEVICE = "/dev/xvda";

/**
 * What every machine is launched from: the image and nothing else. No user data, no role, no key, no public address, no
 * metadata service. The provider pins a version and adds zone, type and the tags of the launch.
 */
export function addLaunchTemplate(
  scope: Construct,
  { parameters, network }: { parameters: Parameters; network: MachineNetwork },
): CfnLaunchTemplate {
  const tags = [
    { key: FLEET_TAG, value: parameters.name },
    { key: DEPLOYMENT_TAG, value: parameters.name },
  ];
  return new CfnLaunchTemplate(scope, "MachineTemplate", {
    launchTemplateName: `${parameters.name}-machine`,
    launchTemplateData: {
      imageId: parameters.machineImageId,
      metadataOptions: { httpEndpoint: "disabled", httpTokens: "required", instanceMetadataTags: "disabled" },
      // Switching itself off is a machine's last resort when nobody else can end it.
      instanceInitiatedShutdownBehavior: "terminate",
      // A machine that fails is lost. One that AWS started again elsewhere would be a second life.
      maintenanceOptions: { autoRecovery: "disabled" },
      monitoring: { enabled: false },
      networkInterfaces: [
        {
          deviceIndex: 0,
          associatePublicIpAddress: false,
          deleteOnTermination: true,
          groups: [network.securityGroupId],
        },
      ],
      blockDeviceMappings: [
        {
          deviceName: ROOT_DEVICE,
          ebs: {
            encrypted: true,
            volumeType: "gp3",
            volumeSize: parameters.machineVolumeGib,
            deleteOnTermination: true,
            volumeInitializationRate: parameters.machineVolumeInitializationRate,
          },
        },
      ],
      // So that the sweeper finds whatever comes of this template, even what somebody launched by hand.
      tagSpecifications: ["instance", "volume", "network-interface"].map((resourceType) => ({ resourceType, tags })),
    },
  });
}
