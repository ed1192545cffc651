import {
  CreateFleetCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeRouteTablesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DescribeVpcAttributeCommand,
  type EC2Client,
  type IpPermission,
  type Route,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { type Ec2Config, isAppError, type Launch } from "@mayfly/core";
import { bounded, inOneLine, type Pause, read, saidBy } from "./ec2-client.ts";
import { codeOf } from "./ec2-faults.ts";
import { type Ec2Plan, requestOf } from "./launch-request.ts";
import { tagKeys } from "./tags.ts";
import { lookAtTemplate, type Slip } from "./template-slips.ts";

/** What was looked at, what was seen, and what to do about all that is not as it should be. */
export interface AccountCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly seen: string;
  readonly fixes: readonly string[];
  readonly ms: number;
}

export interface LooksOptions {
  readonly ec2: EC2Client;
  readonly config: Ec2Config;
  /** What a launch would be, for asking whether it would be allowed. */
  readonly launch: Launch & { readonly plan: Ec2Plan };
  /** Addresses and ports of the broker, `10.0.1.10:8443`, where they are known: machines may go there and nowhere else. */
  readonly brokers: readonly string[];
  readonly pause: Pause;
  readonly now: () => number;
  /** Told of each check when it is made. */
  readonly onCheck: (check: AccountCheck) => void;
}

/** EC2's bound for one page of a listing; whoever has more names is refused by the settings. */
const PAGE_MAX = 1_000;
const RIGHT = "give this role the rights of a host in infra/cdk/src/rights.ts";

interface Look {
  readonly seen: string;
  readonly slips?: readonly Slip[];
}

/**
 * Looks at everything of an account that machines stand on, and asks EC2 whether it would allow what the service does.
 * Changes nothing. Never throws: what cannot be looked at is a check that failed, with its fix.
 */
export async function lookAtAccount(options: LooksOptions): Promise<readonly AccountCheck[]> {
  const { ec2, config, pause } = options;
  const checks: AccountCheck[] = [];
  let groups: readonly string[] = [];
  let networks: readonly string[] = [];

  async function check(name: string, look: () => Promise<Look>): Promise<void> {
    const began = options.now();
    const found = await look().catch(failed);
    const slips = found.slips ?? [];
    const seen = slips.length === 0 ? found.seen : slips.map((slip) => slip.seen).join("; ");
    const made = { name, ok: slips.length === 0, seen, fixes: slips.map(({ fix }) => fix), ms: options.now() - began };
    checks.push(made);
    options.onCheck(made);
  }

  await check("credentials", () => lookAtListing(options));
  await check("launch template", async () => {
    const { id, version } = config.launchTemplate;
    const template = { id, version: String(version) };
    const look = await lookAtTemplate({ ec2, pause, template, image: config.image });
    groups = look.groups;
    return { seen: `${id} version ${version} with ${look.imageId}`, slips: look.slips };
  });
  await check("subnets", async () => {
    const { found, look } = await lookAtSubnets(options);
    networks = found;
    return look;
  });
  await check("resolver", () => lookAtResolver(options, networks));
  await check("routes", () => lookAtRoutes(options, networks));
  await check("security group", () => lookAtGroups(options, groups));
  await check("instance types", () => lookAtOfferings(options));
  await check("right to launch", () => tryLaunch(options));
  await check("right to end", () => tryEnd(options));
  return checks;
}

/** The type of these with the fewest processors and the least memory: what a trial costs least on. */
export async function smallestType(ec2: EC2Client, types: readonly string[], pause: Pause): Promise<string> {
  const request = { InstanceTypes: types.map((type) => type as never) };
  const { InstanceTypes: known = [] } = await read("instance types", pause, () =>
    ec2.send(new DescribeInstanceTypesCommand(request), bounded()),
  );
  const sizeOf = (type: (typeof known)[number]) =>
    (type.VCpuInfo?.DefaultVCpus ?? Infinity) * 2 ** 40 + (type.MemoryInfo?.SizeInMiB ?? 0);
  const [smallest] = known.toSorted((left, right) => sizeOf(left) - sizeOf(right));
  return smallest?.InstanceType ?? types[0] ?? "";
}

function failed(error: unknown): Look {
  const cause = isAppError(error) ? error.cause : error;
  const seen = error instanceof Error ? inOneLine(error.message) : inOneLine(String(error));
  return { seen, slips: [{ seen, fix: fixOf(codeOf(cause)) }] };
}

function fixOf(code: string): string {
  if (code === "UnauthorizedOperation" || code === "AccessDenied") {
    return RIGHT;
  }
  if (code === "CredentialsProviderError") {
    return "give the host a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  }
  if (code === "AuthFailure" || code === "SignatureDoesNotMatch" || code === "RequestExpired") {
    return "check the credentials and the clock of this host, and that fleet.ec2.region is theirs";
  }
  if (code.endsWith(".NotFound") || code.endsWith(".VersionNotFound") || code.endsWith("NotFoundException")) {
    return "correct the id in fleet.ec2: it is not in this account and region";
  }
  return "see that fleet.ec2.region is right and that this host reaches EC2 there, then try again";
}

async function lookAtListing({ ec2, config, pause }: LooksOptions): Promise<Look> {
  const Filters = [{ Name: `tag:${tagKeys.fleet}`, Values: [config.fleet] }];
  const { Reservations: found = [] } = await read("instances", pause, () =>
    ec2.send(new DescribeInstancesCommand({ Filters, MaxResults: PAGE_MAX }), bounded()),
  );
  const count = found.flatMap(({ Instances: instances }) => instances ?? []).length;
  return { seen: `EC2 in ${config.region} answers; ${count} instances of the fleet ${config.fleet}` };
}

async function lookAtSubnets({ ec2, config, pause }: LooksOptions): Promise<{ found: string[]; look: Look }> {
  const { Subnets: subnets = [] } = await read("subnets", pause, () =>
    ec2.send(new DescribeSubnetsCommand({ SubnetIds: [...config.subnets] }), bounded()),
  );
  const slips = subnets.flatMap(({ SubnetId: id, AvailableIpAddressCount: free = 0, State: state }): Slip[] => [
    ...(state === "available" ? [] : [{ seen: `${id} is ${state}`, fix: `wait until ${id} is available` }]),
    ...(free > 0
      ? []
      : [{ seen: `${id} has no free address`, fix: `free addresses in ${id}, or name another subnet` }]),
  ]);
  const zones = new Set(subnets.map(({ AvailabilityZone: zone }) => zone));
  const found = [...new Set(subnets.map(({ VpcId: vpc = "" }) => vpc))];
  return { found, look: { seen: `${subnets.length} in ${zones.size} zones of ${found.join(", ")}`, slips } };
}

async function lookAtResolver({ ec2, pause }: LooksOptions, networks: readonly string[]): Promise<Look> {
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

async function lookAtRoutes({ ec2, config, pause }: LooksOptions, networks: readonly string[]): Promise<Look> {
  if (networks.length === 0) {
    return unseen("subnets");
  }
  const Filters = [{ Name: "vpc-id", Values: [...networks] }];
  const { RouteTables: tables = [] } = await read("routes", pause, () =>
    ec2.send(new DescribeRouteTablesCommand({ Filters }), bounded()),
  );
  // A subnet without a table of its own goes by its network's main one.
  const relevant = tables.filter(({ Associations: uses = [] }) =>
    uses.some(({ Main: main, SubnetId: subnet }) => main === true || config.subnets.includes(subnet ?? "")),
  );
  const routes = relevant.flatMap(({ RouteTableId: table = "", Routes: held = [] }) =>
    held.map((route) => ({ table, route })),
  );
  const slips = routes.flatMap(({ table, route }): Slip[] => {
    const way = wayOut(route);
    const fix = `remove the route from ${table}: machines need their own network and the broker's addresses`;
    return way === null ? [] : [{ seen: `${table} leads ${way}`, fix }];
  });
  return { seen: `${routes.length} routes, none to the internet`, slips };
}

/** Where a route leads that machines must not have; null for one that they may. */
function wayOut(route: Route): string | null {
  const { DestinationCidrBlock: v4, DestinationIpv6CidrBlock: v6, DestinationPrefixListId: list } = route;
  const destination = v4 ?? v6 ?? list ?? "somewhere";
  const target =
    route.NatGatewayId ??
    route.EgressOnlyInternetGatewayId ??
    route.CarrierGatewayId ??
    route.LocalGatewayId ??
    (route.GatewayId === "local" ? undefined : route.GatewayId);
  const isDefault = v4 === "0.0.0.0/0" || v6 === "::/0";
  return target === undefined && !isDefault ? null : inOneLine(`${destination} to ${target ?? "another network"}`);
}

async function lookAtGroups(options: LooksOptions, ids: readonly string[]): Promise<Look> {
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

async function lookAtOfferings({ ec2, config, pause }: LooksOptions): Promise<Look> {
  const request = {
    LocationType: "region" as const,
    Filters: [{ Name: "instance-type", Values: [...config.instanceTypes] }],
    MaxResults: PAGE_MAX,
  };
  const { InstanceTypeOfferings: offered = [] } = await read("instance types", pause, () =>
    ec2.send(new DescribeInstanceTypeOfferingsCommand(request), bounded()),
  );
  const names = new Set(offered.map(({ InstanceType: type }) => String(type)));
  const slips = config.instanceTypes
    .filter((type) => !names.has(type))
    .map((type) => ({ seen: `${type} is not offered here`, fix: `remove ${type} from fleet.ec2.instance_types` }));
  return { seen: `${names.size} offered in ${config.region}`, slips };
}

async function tryLaunch({ ec2, launch }: LooksOptions): Promise<Look> {
  try {
    await ec2.send(new CreateFleetCommand({ ...requestOf(launch, launch.plan), DryRun: true }), bounded());
  } catch (error) {
    return judgeDryRun(error, "launch");
  }
  // EC2 never answers so; if it did it has launched, and the sweep finds it by its tags.
  return {
    seen: "a dry run was carried out",
    slips: [{ seen: "a dry run was carried out", fix: "mayfly fleet sweep" }],
  };
}

/** A right that hangs on a thing's tags can be asked for only where there is such a thing. */
async function tryEnd({ ec2, config, pause }: LooksOptions): Promise<Look> {
  const Filters = [
    { Name: `tag:${tagKeys.fleet}`, Values: [config.fleet] },
    { Name: "instance-state-name", Values: ["pending", "running"] },
  ];
  const { Reservations: found = [] } = await read("instances", pause, () =>
    ec2.send(new DescribeInstancesCommand({ Filters, MaxResults: PAGE_MAX }), bounded()),
  );
  const id = found[0]?.Instances?.[0]?.InstanceId;
  if (id === undefined) {
    return { seen: "no machine to ask about: a real one shows it" };
  }
  try {
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id], DryRun: true }), bounded());
    return { seen: "allowed" };
  } catch (error) {
    return judgeDryRun(error, "end machines");
  }
}

function judgeDryRun(error: unknown, what: string): Look {
  const code = codeOf(error);
  if (code === "DryRunOperation") {
    return { seen: "allowed" };
  }
  const seen = `EC2 would not let us ${what}: ${saidBy(error)}`;
  return { seen, slips: [{ seen, fix: fixOf(code) }] };
}

function unseen(what: string): Look {
  const seen = `not looked at, since the ${what} could not be read`;
  return { seen, slips: [{ seen, fix: `mend what is said of the ${what}` }] };
}
