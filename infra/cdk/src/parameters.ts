import { isIPv4 } from "node:net";
import { z } from "zod";

/** GitHub's published addresses of webhooks, IPv4, as its `meta` API listed them in November 2026. */
const GITHUB_HOOKS = ["192.30.252.0/22", "185.199.108.0/22", "140.82.112.0/20", "143.55.64.0/20"];
/** CreateFleet wants at least this many places to look: zones times instance types. */
const OFFERINGS_MIN = 5;

const Cidr = z.string().refine(isCidr, "must be an IPv4 network such as 10.64.0.0/20");
const ImageId = z.string().regex(/^ami-[0-9a-f]{8,17}$/, "must be the id of an image, such as ami-0123456789abcdef0");
const InstanceType = z.string().regex(/^[a-z0-9-]+\.[a-z0-9-]+$/, "must be an instance type such as m7i.large");

/** What a deployment is made of. Each has a default unless only you can know it. */
const Parameters = z.strictObject({
  /** The fleet's name, the value of the tag `mayfly:fleet`: rights to end machines hang on it, so no two share one. */
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,19}$/, "must be up to 20 lower case letters, digits and hyphens, a letter first")
    .default("mayfly"),
  region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, "must be a region such as eu-central-1"),
  /** Of the webhook's host name, in Certificate Manager, in the same region. */
  certificateArn: z.string().regex(/^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[0-9a-f-]+$/, {
    error: "must be the ARN of a certificate in Certificate Manager",
  }),
  githubAppId: z.int().min(1),
  alarmEmail: z.email().max(254),
  /** A Debian 12 image with Mayfly in /opt/mayfly: docs/guides/aws.md says what else is on it. */
  serviceImageId: ImageId,
  /** What machines boot. */
  machineImageId: ImageId,
  /** The digest of the machine image that one was made from; receipts show it. */
  machineImageDigest: z.string().regex(/^sha256:[0-9a-f]{64}$/, "must be sha256: and 64 hexadecimal digits"),
  /** Hosts of the service. All of them work, and have every role, or those that `frontReplicas` leaves them. */
  replicas: z.int().min(1).max(2).default(2),
  /**
   * Hosts of their own for the roles `intake` and `web`, with no right on machines, no key of the App's and no model key;
   * the others are `worker` and `broker` then, and GitHub's requests reach none of them. 0 for none.
   */
  frontReplicas: z.int().min(0).max(2).default(0),
  serviceInstanceType: InstanceType.default("t3.medium"),
  machineInstanceTypes: z
    .array(InstanceType)
    .min(1)
    .max(20)
    .default(["m7i.large", "m7a.large", "m6i.large", "m6a.large"]),
  /** Zones with machines, the first ones of the region. */
  machineZones: z.int().min(1).max(6).default(2),
  /** The most machines at once; the service is told, and the network is checked to have room for them. */
  machinesMax: z.int().min(1).max(1000).default(20),
  machineVolumeGib: z.int().min(1).max(500).default(8),
  /** MiB a second at which a new volume is filled from its snapshot; AWS takes 100 to 300. */
  machineVolumeInitializationRate: z.int().min(100).max(300).default(200),
  /** Network of the service: a /20, of which it takes half. */
  serviceCidr: Cidr.refine((cidr) => cidr.endsWith("/20"), "must be a /20").default("10.64.0.0/20"),
  /** Network of the machines: a /20, cut into one /23 for each zone. */
  machineCidr: Cidr.refine((cidr) => cidr.endsWith("/20"), "must be a /20").default("10.96.0.0/20"),
  /** Where machines find the broker. */
  brokerPort: z.int().min(1024).max(65_535).default(8443),
  /** Who may send webhooks. */
  webhookSources: z.array(Cidr).min(1).max(50).default(GITHUB_HOOKS),
  /** Ways out for the service's hosts: one is cheaper, two survive the loss of a zone. */
  natGateways: z.int().min(1).max(2).default(1),
  cacheNodeType: z
    .string()
    .regex(/^cache\.[a-z0-9]+\.[a-z0-9]+$/, "must be a cache node type such as cache.t4g.small")
    .default("cache.t4g.small"),
  /** Days that logs are kept, one of the terms that CloudWatch knows. */
  logDays: z.union([z.literal(30), z.literal(90), z.literal(180), z.literal(365)]).default(90),
  /** US dollars a month, for machines and service together. The budget tells; it stops nothing. */
  monthlyBudgetUsd: z.int().min(1).default(500),
  /** The App's key is imported into a sign-only key of KMS, made here, and no host has it. Else it is a secret that hosts read. */
  appKeyInKms: z.boolean().default(false),
});
export type Parameters = z.infer<typeof Parameters>;

/**
 * The parameters of a deployment from a parsed JSON file, with defaults filled in.
 *
 * @returns Every mistake as a line that begins with the parameter's name, or the parameters.
 */
export function readParameters(value: unknown): { ok: true; parameters: Parameters } | { ok: false; errors: string[] } {
  const parsed = Parameters.safeParse(value, { reportInput: true });
  if (!parsed.success) {
    return { ok: false, errors: parsed.error.issues.flatMap(linesOf) };
  }
  const errors = conflictsOf(parsed.data);
  return errors.length > 0 ? { ok: false, errors } : { ok: true, parameters: parsed.data };
}

function linesOf(issue: z.core.$ZodIssue): string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${key}: there is no such parameter`);
  }
  const isMissing = issue.code === "invalid_type" && issue.input === undefined;
  return [`${issue.path.join(".") || "parameters"}: ${isMissing ? "is needed" : issue.message}`];
}

/** What each parameter allows by itself and they do not allow together. */
function conflictsOf(parameters: Parameters): string[] {
  const { serviceCidr, machineCidr, machineInstanceTypes, machineZones, machinesMax, certificateArn, region } =
    parameters;
  const offerings = machineZones * machineInstanceTypes.length;
  // AWS keeps five addresses of each subnet for itself.
  const addresses = machineZones * (512 - 5);
  return [
    serviceCidr === machineCidr ? ["machineCidr: must be another network than serviceCidr"] : [],
    offerings < OFFERINGS_MIN
      ? [`machineInstanceTypes: ${offerings} offerings in ${machineZones} zones, and ${OFFERINGS_MIN} are needed`]
      : [],
    machinesMax > addresses ? [`machinesMax: ${machineZones} zones have ${addresses} addresses`] : [],
    certificateArn.split(":")[3] === region ? [] : [`certificateArn: must be a certificate of ${region}`],
  ].flat();
}

/** Strictly the first address of a network: anything else is a slip of the hand. */
function isCidr(text: string): boolean {
  const [address = "", length = "", ...rest] = text.split("/");
  if (!isIPv4(address) || !/^(?:[0-9]|[12][0-9]|3[0-2])$/.test(length) || rest.length > 0) {
    return false;
  }
  const bits = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return bits % 2 ** (32 - Number(length)) === 0;
}
