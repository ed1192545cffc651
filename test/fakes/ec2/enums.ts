/**
 * What a member may hold. The SDK's schemas say nothing of it, its lists of values do: this table joins the two for
 * every member that the stand-in acts on.
 */
import * as sdk from "@aws-sdk/client-ec2";

const yesNo = values(sdk.InstanceMetadataEndpointState);
const instanceTypes = values(sdk._InstanceType);
const volumeTypes = values(sdk.VolumeType);
const shutdownBehaviors = values(sdk.ShutdownBehavior);
const tokens = values(sdk.HttpTokensState);
const resources = values(sdk.ResourceType);

const table: Readonly<Record<string, readonly string[]>> = {
  "CreateFleetRequest.Type": values(sdk.FleetType),
  "CreateFleetRequest.ExcessCapacityTerminationPolicy": values(sdk.FleetExcessCapacityTerminationPolicy),
  "DescribeInstanceTypeOfferingsRequest.LocationType": values(sdk.LocationType),
  "DescribeInstanceTypesRequest.InstanceTypes": instanceTypes,
  "DescribeSpotPriceHistoryRequest.InstanceTypes": instanceTypes,
  "DescribeVpcAttributeRequest.Attribute": values(sdk.VpcAttributeName),
  "EbsBlockDevice.VolumeType": volumeTypes,
  "FleetLaunchTemplateOverridesRequest.InstanceType": instanceTypes,
  "InstanceMetadataOptionsRequest.HttpEndpoint": yesNo,
  "InstanceMetadataOptionsRequest.HttpProtocolIpv6": yesNo,
  "InstanceMetadataOptionsRequest.HttpTokens": tokens,
  "InstanceMetadataOptionsRequest.InstanceMetadataTags": yesNo,
  "LaunchTemplateEbsBlockDeviceRequest.VolumeType": volumeTypes,
  "LaunchTemplateInstanceMetadataOptionsRequest.HttpEndpoint": yesNo,
  "LaunchTemplateInstanceMetadataOptionsRequest.HttpProtocolIpv6": yesNo,
  "LaunchTemplateInstanceMetadataOptionsRequest.HttpTokens": tokens,
  "LaunchTemplateInstanceMetadataOptionsRequest.InstanceMetadataTags": yesNo,
  "LaunchTemplateTagSpecificationRequest.ResourceType": resources,
  "OnDemandOptionsRequest.AllocationStrategy": values(sdk.FleetOnDemandAllocationStrategy),
  "RequestLaunchTemplateData.InstanceInitiatedShutdownBehavior": shutdownBehaviors,
  "RequestLaunchTemplateData.InstanceType": instanceTypes,
  "RunInstancesRequest.InstanceInitiatedShutdownBehavior": shutdownBehaviors,
  "RunInstancesRequest.InstanceType": instanceTypes,
  "RegisterImageRequest.Architecture": values(sdk.ArchitectureValues),
  "RegisterImageRequest.BootMode": values(sdk.BootModeValues),
  "RegisterImageRequest.ImdsSupport": values(sdk.ImdsSupportValues),
  "SpotOptionsRequest.AllocationStrategy": values(sdk.SpotAllocationStrategy),
  "SpotOptionsRequest.InstanceInterruptionBehavior": values(sdk.SpotInstanceInterruptionBehavior),
  "TagSpecification.ResourceType": resources,
  "TargetCapacitySpecificationRequest.DefaultTargetCapacityType": values(sdk.DefaultTargetCapacityType),
  "TargetCapacitySpecificationRequest.TargetCapacityUnitType": values(sdk.TargetCapacityUnitType),
};

const decimals: ReadonlySet<string> = new Set([
  "FleetLaunchTemplateOverridesRequest.Priority",
  "FleetLaunchTemplateOverridesRequest.WeightedCapacity",
]);

/** The values that a member, or an item of a list member, may hold; null where any text is good. */
export function allowedValues(structure: string, member: string): readonly string[] | null {
  return table[`${structure}.${member}`] ?? null;
}

/** Whether a number may have a fraction. */
export function isDecimal(structure: string, member: string): boolean {
  return decimals.has(`${structure}.${member}`);
}

function values(list: Readonly<Record<string, string>>): readonly string[] {
  return Object.values(list);
}
