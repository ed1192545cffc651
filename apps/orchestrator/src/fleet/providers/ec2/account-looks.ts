import { setTimeout as after } from "node:timers/promises";
import {
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  type EC2Client,
  type Instance,
} from "@aws-sdk/client-ec2";
import { isAppError } from "@mayfly/core";
import type { AccountCheck, Look, LooksOptions } from "./account-look.ts";
import { bounded, inOneLine, type Pause, read } from "./ec2-client.ts";
import { codeOf } from "./ec2-faults.ts";
import { lookAtGroups, lookAtResolver, lookAtRoutes, lookAtSubnets } from "./network-looks.ts";
import { readPages } from "./pages.ts";
import { tryEnd, tryLaunch } from "./right-looks.ts";
import { readTags, tagKeys } from "./tags.ts";
import { lookAtTemplate } from "./template-slips.ts";
import { lookAtTypes } from "./type-looks.ts";

/** Limit: EC2's bound for one page of a listing. */
const PAGE_ITEMS = 1_000;
const RIGHT = "give this role the rights of a host in infra/cdk/src/rights.ts";

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
    if (options.onSkipped !== undefined && checks[0]?.ok === false) {
      options.onSkipped(name);
      return;
    }
    const began = options.now();
    const found = await within(options.lookMs, look()).catch(failed);
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
  await check("instance types", () => lookAtTypes(options));
  await check("right to launch", () => orFix(tryLaunch(options, groups)));
  await check("right to end", async () => {
    const [machine] = await listFleet(options, config.fleet, ["pending", "running"]);
    return orFix(tryEnd(options, machine?.InstanceId ?? null));
  });
  const { trialFleet } = options;
  if (trialFleet !== null) {
    await check("no other trial", () => lookForTrial(options, trialFleet));
  }
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

/** Whatever comes of a look that took too long is not waited for. */
async function within(ms: number | undefined, look: Promise<Look>): Promise<Look> {
  if (ms === undefined) {
    return look;
  }
  const over = new AbortController();
  const late = after(ms, undefined, { signal: over.signal }).then(() => {
    throw new Error(`EC2 did not answer within ${ms / 1_000} s`);
  });
  return Promise.race([look, late]).finally(() => over.abort());
}

/** What EC2 refused to allow is a slip with its fix. */
async function orFix(tried: ReturnType<typeof tryLaunch>): Promise<Look> {
  const { seen, refusal } = await tried;
  return refusal === null ? { seen } : { seen, slips: [{ seen, fix: fixOf(refusal) }] };
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

async function lookAtListing(options: LooksOptions): Promise<Look> {
  const { region, fleet } = options.config;
  const found = await listFleet(options, fleet, []);
  return { seen: `EC2 in ${region} answers; ${found.length} instances of the fleet ${fleet}` };
}

/** A trial ends what it finds of its fleet, so two at once would end each other's machines. */
async function lookForTrial(options: LooksOptions, fleet: string): Promise<Look> {
  const found = await listFleet(options, fleet, ["pending", "running"]);
  const now = options.clock.now();
  const slips = found.flatMap(({ InstanceId: id = "", LaunchTime: since, Tags: tags }) => {
    const { deadline } = readTags(tags);
    const until = deadline === null ? "" : ` until ${new Date(deadline).toISOString()} at the latest`;
    const seen = `${id} of ${fleet} is there since ${since?.toISOString() ?? "some time"}${until}: another mayfly verify-ec2 is at work, or was killed`;
    const fix = `wait for it, or if nobody runs it: aws ec2 terminate-instances --instance-ids ${id} --region ${options.config.region}`;
    return deadline !== null && deadline <= now ? [] : [{ seen: inOneLine(seen), fix: inOneLine(fix) }];
  });
  return { seen: `no machine of ${fleet}`, slips };
}

function listFleet({ ec2, pause }: LooksOptions, fleet: string, states: readonly string[]): Promise<Instance[]> {
  const Filters = [
    { Name: `tag:${tagKeys.fleet}`, Values: [fleet] },
    ...(states.length === 0 ? [] : [{ Name: "instance-state-name", Values: [...states] }]),
  ];
  return readPages("instances", pause, async (NextToken) => {
    const request = { Filters, MaxResults: PAGE_ITEMS, NextToken };
    const page = await ec2.send(new DescribeInstancesCommand(request), bounded());
    return { items: page.Reservations?.flatMap(({ Instances: held }) => held ?? []), next: page.NextToken };
  });
}
