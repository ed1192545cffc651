import {
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  type InstanceTypeInfo,
} from "@aws-sdk/client-ec2";
import type { Look, LooksOptions } from "./account-look.ts";
import { bounded } from "./ec2-client.ts";
import { readPages } from "./pages.ts";

/** Limit: EC2's bound for one page of offerings. */
const PAGE_ITEMS = 1_000;

/** Whether each type is offered in the region and can start the image: x86_64, UEFI, ENA, and as spot where that is asked for. */
export async function lookAtTypes(options: LooksOptions): Promise<Look> {
  const { ec2, config, pause } = options;
  const Filters = [{ Name: "instance-type", Values: [...config.instanceTypes] }];
  const offered = await readPages("instance types", pause, async (NextToken) => {
    const request = { LocationType: "region" as const, Filters, MaxResults: PAGE_ITEMS, NextToken };
    const page = await ec2.send(new DescribeInstanceTypeOfferingsCommand(request), bounded());
    return { items: page.InstanceTypeOfferings, next: page.NextToken };
  });
  const names = new Set(offered.map(({ InstanceType: type }) => String(type)));
  const known = names.size === 0 ? [] : await describeTypes(options, [...names]);
  const remove = (type: string) => `remove ${type} from fleet.ec2.instance_types`;
  const slips = config.instanceTypes.flatMap((type) => {
    const info = known.find(({ InstanceType: name }) => name === type);
    const lacks = info === undefined ? ["an offer here"] : lacking(info, config.spot);
    return lacks.length === 0 ? [] : [{ seen: `${type} lacks ${lacks.join(" and ")}`, fix: remove(type) }];
  });
  return { seen: `${names.size} offered in ${config.region}, and all can start the image`, slips };
}

function describeTypes({ ec2, pause }: LooksOptions, names: readonly string[]): Promise<InstanceTypeInfo[]> {
  const InstanceTypes = names.map((type) => type as never);
  return readPages("instance types", pause, async (NextToken) => {
    const page = await ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes, NextToken }), bounded());
    return { items: page.InstanceTypes, next: page.NextToken };
  });
}

function lacking(info: InstanceTypeInfo, spot: boolean): string[] {
  const { ProcessorInfo: processor, SupportedBootModes: boots, NetworkInfo: network } = info;
  const has: [boolean | undefined, string][] = [
    [processor?.SupportedArchitectures?.includes("x86_64"), "x86_64"],
    [boots?.includes("uefi"), "UEFI"],
    [network?.EnaSupport === "required" || network?.EnaSupport === "supported", "ENA"],
    [!spot || info.SupportedUsageClasses?.includes("spot"), "a spot price (fleet.ec2.spot)"],
  ];
  return has.filter(([it]) => it !== true).map(([, name]) => name);
}
