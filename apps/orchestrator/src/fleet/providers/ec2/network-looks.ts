import {
  DescribeRouteTablesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DescribeVpcAttributeCommand,
  type IpPermission,
  type Route,
  type RouteTable,
  type Subnet,
} from "@aws-sdk/client-ec2";
import { BlockList, isIPv4 } from "node:net";
import { type Look, type LooksOptions, unseen } from "./account-look.ts";
import { bounded, inOneLine, read } from "./ec2-client.ts";
import { readPages } from "./pages.ts";
import type { Slip } from "./template-slips.ts";

/** A route to more than this many addresses' bits leads to more than somebody's network. */
const PREFIX_MIN = 16;

/** The machines' subnets, and the networks that they are in. */
export async function lookAtSubnets({ ec2, config, pause }: LooksOptions): Promise<{ found: string[]; look: Look }> {
  const { Subnets: subnets = [] } = await read("subnets", pause, () =>
    ec2.send(new DescribeSubnetsCommand({ SubnetIds: [...config.subnets] }), bounded()),
  );
  const slips = subnets.flatMap(subnetSlips);
  const zones = new Set(subnets.map(({ AvailabilityZone: zone }) => zone));
  const found = [...new Set(subnets.map(({ VpcId: vpc = "" }) => vpc))];
  return { found, look: { seen: `${subnets.length} in ${zones.size} zones of ${found.join(", ")}`, slips } };
}

/** What a subnet gives of itself the launch template need not refuse: for version 6 it cannot. */
function subnetSlips(subnet: Subnet): Slip[] {
  const { SubnetId: id = "", State: state = "", AvailableIpAddressCount: free = 0 } = subnet;
  const modify = `aws ec2 modify-subnet-attribute --subnet-id ${id}`;
  const wrong: [boolean, string, string][] = [
    [state !== "available", `${id} is ${state}`, `wait until ${id} is available`],
    [free === 0, `${id} has no free address`, `free addresses in ${id}, or name another subnet`],
    [
      subnet.MapPublicIpOnLaunch === true,
      `${id} gives machines public addresses`,
      `${modify} --no-map-public-ip-on-launch`,
    ],
    [
      subnet.AssignIpv6AddressOnCreation === true,
      `${id} gives machines addresses of version 6`,
      `${modify} --no-assign-ipv6-address-on-creation`,
    ],
    [
      subnet.MapCustomerOwnedIpOnLaunch === true,
      `${id} gives machines addresses of a pool of yours`,
      `${modify} --no-map-customer-owned-ip-on-launch`,
    ],
  ];
  return wrong.filter(([isWrong]) => isWrong).map(([, seen, fix]) => ({ seen: inOneLine(seen), fix }));
}

/** Whether these networks have no resolver: a way out that no security group filters. */
export async function lookAtResolver({ ec2, pause }: LooksOptions, networks: readonly string[]): Promise<Look> {
  const slips: Slip[] = [];
  for (const id of networks) {
    const request = { VpcId: id, Attribute: "enableDnsSupport" as const };
    const { EnableDnsSupport: support } = await read("networks", pause, () =>
      ec2.send(new DescribeVpcAttributeCommand(request), bounded()),
    );
    if (support?.Value !== false) {
      const fix = `aws ec2 modify-vpc-attribute --vpc-id ${id} --no-enable-dns-support`;
      slips.push({ seen: `${id} has a resolver, which no security group filters`, fix });
    }
  }
  return networks.length === 0 ? unseen("subnets") : { seen: "the machines' network has none", slips };
}

/** Every route by which machines leave their subnets: to their own network and towards the broker, and no other. */
export async function lookAtRoutes(options: LooksOptions, networks: readonly string[]): Promise<Look> {
  const { ec2, config, pause, brokers } = options;
  if (networks.length === 0) {
    return unseen("subnets");
  }
  const Filters = [{ Name: "vpc-id", Values: [...networks] }];
  const tables = await readPages("routes", pause, async (NextToken) => {
    const page = await ec2.send(new DescribeRouteTablesCommand({ Filters, NextToken }), bounded());
    return { items: page.RouteTables, next: page.NextToken };
  });
  const routes = tablesOf(tables, config.subnets).flatMap(({ RouteTableId: table = "", Routes: held = [] }) =>
    held.map((route) => ({ table, route })),
  );
  const slips = routes.flatMap(({ table, route }): Slip[] => {
    const fix = `remove the route from ${table}: machines need their own network and the broker's addresses`;
    return isMeant(route, brokers) ? [] : [{ seen: `${table} leads ${wayOf(route)}`, fix }];
  });
  const none = routes.length === 0 ? [{ seen: "no routes at all", fix: "name the machines' subnets" }] : [];
  return {
    seen: `${routes.length} routes, none but the own network's and towards the broker`,
    slips: [...slips, ...none],
  };
}

/** A subnet goes by the table that it is tied to, and only without one by its network's main table. */
function tablesOf(tables: readonly RouteTable[], subnets: readonly string[]): RouteTable[] {
  const tied = (table: RouteTable) => (table.Associations ?? []).map(({ SubnetId: subnet }) => subnet ?? "");
  const withOwn = new Set(tables.flatMap(tied));
  const someUseMain = subnets.some((subnet) => !withOwn.has(subnet));
  return tables.filter(
    (table) =>
      tied(table).some((subnet) => subnets.includes(subnet)) ||
      (someUseMain && (table.Associations ?? []).some(({ Main: isMain }) => isMain === true)),
  );
}

/** One to the own network, or to another private one that the broker is in. */
function isMeant(route: Route, brokers: readonly string[]): boolean {
  if (route.GatewayId === "local") {
    return true;
  }
  const [address = "", bits = ""] = (route.DestinationCidrBlock ?? "").split("/");
  const isToNetwork = route.VpcPeeringConnectionId !== undefined || route.TransitGatewayId !== undefined;
  if (!isToNetwork || !isIPv4(address) || !(Number(bits) >= PREFIX_MIN) || !privateNetworks.check(address)) {
    return false;
  }
  const range = new BlockList();
  range.addSubnet(address, Number(bits));
  return brokers.length === 0 || brokers.some((broker) => range.check(broker.split(":")[0] ?? ""));
}

const privateNetworks = new BlockList();
privateNetworks.addSubnet("10.0.0.0", 8);
privateNetworks.addSubnet("172.16.0.0", 12);
privateNetworks.addSubnet("192.168.0.0", 16);
privateNetworks.addSubnet("100.64.0.0", 10);

function wayOf(route: Route): string {
  const { DestinationCidrBlock: v4, DestinationIpv6CidrBlock: v6, DestinationPrefixListId: list } = route;
  const target =
    route.NatGatewayId ??
    route.EgressOnlyInternetGatewayId ??
    route.CarrierGatewayId ??
    route.LocalGatewayId ??
    route.NetworkInterfaceId ??
    route.InstanceId ??
    route.CoreNetworkArn ??
    route.GatewayId ??
    route.VpcPeeringConnectionId ??
    route.TransitGatewayId;
  return inOneLine(`${v4 ?? v6 ?? list ?? "somewhere"} to ${target ?? "another network"}`);
}

/** That the machines' security groups let nothing in, and out to the broker alone. */
export async function lookAtGroups(options: LooksOptions, ids: readonly string[]): Promise<Look> {
  if (ids.length === 0) {
    return unseen("launch template");
  }
  const { SecurityGroups: groups = [] } = await read("security groups", options.pause, () =>
    options.ec2.send(new DescribeSecurityGroupsCommand({ GroupIds: [...ids] }), bounded()),
  );
  const incoming = groups.flatMap(({ GroupId: id = "", IpPermissions: rules = [] }): Slip[] =>
    rules.length === 0 ? [] : [{ seen: `${id} lets something in`, fix: `remove the ingress rules of ${id}` }],
  );
  const outgoing = groups.flatMap(({ IpPermissionsEgress: rules = [] }) => rules.flatMap(targetsOf));
  const isKnown = options.brokers.length > 0;
  const wrong = outgoing.filter((to) => (isKnown ? !options.brokers.includes(to) : !/^[\d.]+:\d+$/.test(to)));
  const lacking = options.brokers.filter((to) => !outgoing.includes(to));
  const slips = [
    ...incoming,
    ...wrong.map((to) => ({
      seen: `lets out to ${to}`,
      fix: "allow TCP to the broker's addresses and port, and nothing else",
    })),
    ...lacking.map((to) => ({ seen: `does not let out to ${to}`, fix: `allow TCP to ${to}` })),
    ...(outgoing.length === 0 && !isKnown
      ? [{ seen: "lets nothing out", fix: "allow TCP to the broker's addresses and port" }]
      : []),
  ];
  return { seen: `${ids.join(", ")}: nothing in, out to ${outgoing.join(" and ")}`, slips };
}

/** `address:port` for one address and one port of TCP, the rule in words for anything wider. */
function targetsOf(rule: IpPermission): string[] {
  const { IpProtocol: protocol, FromPort: from, ToPort: to } = rule;
  const others = [
    ...(rule.Ipv6Ranges ?? []).map(({ CidrIpv6: cidr }) => cidr),
    ...(rule.UserIdGroupPairs ?? []).map(({ GroupId: id }) => id),
    ...(rule.PrefixListIds ?? []).map(({ PrefixListId: id }) => id),
  ];
  const isOnePort = protocol === "tcp" && from !== undefined && from === to;
  const ports = isOnePort ? String(from) : `${protocol} ${from ?? "all"}-${to ?? "all"}`;
  const ranges = (rule.IpRanges ?? []).map(({ CidrIp: cidr = "" }) =>
    isOnePort && cidr.endsWith("/32") ? `${cidr.slice(0, -"/32".length)}:${ports}` : `${cidr} port ${ports}`,
  );
  return [...ranges, ...others.map((other) => `${other} port ${ports}`)].map(inOneLine);
}
