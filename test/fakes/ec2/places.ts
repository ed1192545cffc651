/** What stands before any machine does: network, image, types, prices. */
import type {
  DescribeInstanceTypeOfferingsRequest,
  DescribeInstanceTypeOfferingsResult,
  DescribeInstanceTypesRequest,
  DescribeInstanceTypesResult,
  DescribeRouteTablesRequest,
  DescribeRouteTablesResult,
  DescribeSecurityGroupsRequest,
  DescribeSecurityGroupsResult,
  DescribeSpotPriceHistoryRequest,
  DescribeSpotPriceHistoryResult,
  DescribeSubnetsRequest,
  DescribeSubnetsResult,
  DescribeVpcAttributeRequest,
  DescribeVpcAttributeResult,
  DescribeVpcsRequest,
  DescribeVpcsResult,
  _InstanceType,
} from "@aws-sdk/client-ec2";
import { priceOf } from "./capacity.ts";
import { Ec2Refusal, onlyModelled } from "./refusal.ts";
import { filtered, paged } from "./select.ts";
import type { FakeSubnet, FakeType, Place, World } from "./world.ts";

const asked = ["DryRun", "Filters", "MaxResults", "NextToken"];
const listing = { min: 5, max: 1_000, ordinalOf: (_thing: unknown, index: number) => index };
// EC2's limit for types in one answer.
const typesListing = { ...listing, max: 100 };

export function describeSubnets({ place, interfaces }: World, input: DescribeSubnetsRequest): DescribeSubnetsResult {
  onlyModelled("DescribeSubnets", input, [...asked, "SubnetIds"]);
  const named = chosen(place.subnets, input.SubnetIds, "InvalidSubnetID.NotFound");
  const fields = {
    "availability-zone": ({ zone }: FakeSubnet) => [zone],
    "subnet-id": ({ id }: FakeSubnet) => [id],
    "vpc-id": ({ vpcId }: FakeSubnet) => [vpcId],
  };
  const { page, nextToken } = paged(filtered(named, input.Filters, fields, null), input, listing);
  const used = ({ id }: FakeSubnet) =>
    interfaces
      .values()
      .filter(({ subnet }) => subnet.id === id)
      .toArray().length;
  return {
    Subnets: page.map((subnet) => ({
      SubnetId: subnet.id,
      VpcId: subnet.vpcId,
      AvailabilityZone: subnet.zone,
      AvailabilityZoneId: subnet.zoneId,
      CidrBlock: subnet.cidr,
      State: "available",
      MapPublicIpOnLaunch: place.gifts.get(subnet.id) === "public address",
      AssignIpv6AddressOnCreation: place.gifts.get(subnet.id) === "version 6",
      AvailableIpAddressCount: SUBNET_ADDRESSES - used(subnet),
    })),
    NextToken: nextToken,
  };
}

/** A /20 without the five addresses that are EC2's own. */
const SUBNET_ADDRESSES = 4_091;

export function describeVpcs({ place }: World, input: DescribeVpcsRequest): DescribeVpcsResult {
  onlyModelled("DescribeVpcs", input, [...asked, "VpcIds"]);
  const named = chosen([place.vpc], input.VpcIds, "InvalidVpcID.NotFound");
  const fields = { "vpc-id": ({ id }: Place["vpc"]) => [id], cidr: ({ cidr }: Place["vpc"]) => [cidr] };
  const found = filtered(named, input.Filters, fields, null);
  return {
    Vpcs: found.map(({ id, cidr }) => ({ VpcId: id, CidrBlock: cidr, State: "available", IsDefault: false })),
  };
}

export function describeVpcAttribute({ place }: World, input: DescribeVpcAttributeRequest): DescribeVpcAttributeResult {
  const [vpc] = chosen([place.vpc], [input.VpcId ?? ""], "InvalidVpcID.NotFound");
  switch (input.Attribute) {
    case "enableDnsSupport":
      return { VpcId: vpc?.id, EnableDnsSupport: { Value: place.vpc.dnsSupport } };
    case "enableDnsHostnames":
      return { VpcId: vpc?.id, EnableDnsHostnames: { Value: place.vpc.dnsHostnames } };
    default:
      return { VpcId: vpc?.id, EnableNetworkAddressUsageMetrics: { Value: false } };
  }
}

/** The network's main one, and those that subnets are tied to. */
export function describeRouteTables(
  { place, pageMax }: World,
  input: DescribeRouteTablesRequest,
): DescribeRouteTablesResult {
  onlyModelled("DescribeRouteTables", input, [...asked, "RouteTableIds"]);
  const { routes, ownTables, vpc } = place;
  const tables = [{ ...routes, subnets: null }, ...ownTables];
  type Table = (typeof tables)[number];
  const fields = { "vpc-id": () => [vpc.id], "route-table-id": ({ id }: Table) => [id] };
  const local = { DestinationCidrBlock: vpc.cidr, GatewayId: "local", State: "active" as const };
  // EC2's limit for a page of route tables.
  const paging = { ...listing, max: 100, pageMax };
  const { page, nextToken } = paged(filtered(tables, input.Filters, fields, null), input, paging);
  return {
    RouteTables: page.map(({ id, more, subnets }) => ({
      RouteTableId: id,
      VpcId: vpc.id,
      OwnerId: place.account,
      Associations:
        subnets === null
          ? [{ Main: true, RouteTableId: id }]
          : subnets.map((SubnetId) => ({ Main: false, RouteTableId: id, SubnetId })),
      Routes: [local, ...more.map((route) => ({ ...route, State: "active" as const }))],
    })),
    NextToken: nextToken,
  };
}

export function describeSecurityGroups(
  { place }: World,
  input: DescribeSecurityGroupsRequest,
): DescribeSecurityGroupsResult {
  onlyModelled("DescribeSecurityGroups", input, [...asked, "GroupIds"]);
  const named = chosen([place.group], input.GroupIds, "InvalidGroup.NotFound");
  const fields = { "group-id": ({ id }: Place["group"]) => [id], "vpc-id": () => [place.vpc.id] };
  const permissions = (list: Place["group"]["ingress"]) =>
    list.map(({ cidr, port }) => ({
      IpProtocol: "tcp",
      FromPort: port,
      ToPort: port,
      IpRanges: [{ CidrIp: cidr }],
    }));
  return {
    SecurityGroups: filtered(named, input.Filters, fields, null).map(({ id, name, ingress, egress }) => ({
      GroupId: id,
      GroupName: name,
      Description: name,
      OwnerId: place.account,
      VpcId: place.vpc.id,
      IpPermissions: permissions(ingress),
      IpPermissionsEgress: permissions(egress),
    })),
  };
}

export function describeInstanceTypes(
  { place }: World,
  input: DescribeInstanceTypesRequest,
): DescribeInstanceTypesResult {
  onlyModelled("DescribeInstanceTypes", input, [...asked, "InstanceTypes"]);
  const wanted = input.InstanceTypes;
  const absent = wanted?.find((type) => !place.types.some(({ name }) => name === type));
  if (absent !== undefined) {
    throw new Ec2Refusal("InvalidInstanceType", `The following supplied instance types do not exist: [${absent}]`);
  }
  const named = place.types.filter(({ name }) => wanted === undefined || wanted.includes(name as _InstanceType));
  const fields = {
    "current-generation": () => ["true"],
    "instance-type": ({ name }: FakeType) => [name],
    "memory-info.size-in-mib": ({ memoryMib }: FakeType) => [String(memoryMib)],
    "processor-info.supported-architecture": () => ["x86_64"],
    "vcpu-info.default-vcpus": ({ vcpus }: FakeType) => [String(vcpus)],
  };
  const { page, nextToken } = paged(filtered(named, input.Filters, fields, null), input, typesListing);
  return {
    InstanceTypes: page.map(({ name, vcpus, memoryMib, lacks }) => ({
      InstanceType: name as _InstanceType,
      CurrentGeneration: true,
      BareMetal: false,
      SupportedUsageClasses: lacks === "spot" ? ["on-demand"] : ["on-demand", "spot"],
      SupportedBootModes: lacks === "uefi" ? ["legacy-bios"] : ["legacy-bios", "uefi"],
      NetworkInfo: { EnaSupport: lacks === "ena" ? "unsupported" : "required" },
      ProcessorInfo: { SupportedArchitectures: [lacks === "x86_64" ? "arm64" : "x86_64"] },
      VCpuInfo: { DefaultVCpus: vcpus },
      MemoryInfo: { SizeInMiB: memoryMib },
    })),
    NextToken: nextToken,
  };
}

export function describeInstanceTypeOfferings(
  { place }: World,
  input: DescribeInstanceTypeOfferingsRequest,
): DescribeInstanceTypeOfferingsResult {
  onlyModelled("DescribeInstanceTypeOfferings", input, [...asked, "LocationType"]);
  const kind = input.LocationType ?? "region";
  const offerings = place.types.flatMap((type) =>
    locationsOf(place, type, kind).map((location) => ({ type, location })),
  );
  type Offered = (typeof offerings)[number];
  const fields = {
    "instance-type": ({ type }: Offered) => [type.name],
    location: ({ location }: Offered) => [location],
  };
  const { page, nextToken } = paged(filtered(offerings, input.Filters, fields, null), input, listing);
  return {
    InstanceTypeOfferings: page.map(({ type, location }) => ({
      InstanceType: type.name as _InstanceType,
      LocationType: kind,
      Location: location,
    })),
    NextToken: nextToken,
  };
}

/** One price for each type and zone, as of now. */
export function describeSpotPriceHistory(
  world: World,
  input: DescribeSpotPriceHistoryRequest,
): DescribeSpotPriceHistoryResult {
  const times = ["StartTime", "EndTime", "ProductDescriptions"];
  onlyModelled("DescribeSpotPriceHistory", input, [...asked, ...times, "AvailabilityZone", "InstanceTypes"]);
  const { place } = world;
  const prices = place.types.flatMap((type) =>
    locationsOf(place, type, "availability-zone").map((zone) => ({ type: type.name, zone })),
  );
  type Priced = (typeof prices)[number];
  const fields = {
    "availability-zone": ({ zone }: Priced) => [zone],
    "instance-type": ({ type }: Priced) => [type],
  };
  const wanted = filtered(prices, input.Filters, fields, null)
    .filter(({ type }) => input.InstanceTypes?.includes(type as _InstanceType) ?? true)
    .filter(({ zone }) => (input.AvailabilityZone ?? zone) === zone);
  const { page, nextToken } = paged(wanted, input, { ...listing, min: 1 });
  return {
    SpotPriceHistory: page.map(({ type, zone }) => ({
      AvailabilityZone: zone,
      InstanceType: type as _InstanceType,
      ProductDescription: "Linux/UNIX",
      SpotPrice: priceOf(world, { type, zone, lifecycle: "spot" }).toFixed(6),
      Timestamp: new Date(world.clock()),
    })),
    NextToken: nextToken,
  };
}

function chosen<T extends { readonly id: string }>(
  things: readonly T[],
  ids: readonly string[] | undefined,
  code: string,
): T[] {
  const absent = ids?.find((id) => !things.some((thing) => thing.id === id));
  if (absent !== undefined) {
    throw new Ec2Refusal(code, `The ID '${absent.slice(0, 100)}' does not exist`);
  }
  return things.filter(({ id }) => ids?.includes(id) ?? true);
}

function locationsOf({ region, subnets }: Place, { zones }: FakeType, kind: string): string[] {
  if (kind === "region") {
    return [region];
  }
  const offered = subnets.filter(({ zone }) => zones.includes(zone.slice(-1)));
  return offered.map(({ zone, zoneId }) => (kind === "availability-zone-id" ? zoneId : zone));
}
