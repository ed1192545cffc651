import { z } from "zod";
import type { Digest } from "./ids.ts";
import { setting } from "./setting.ts";

/** It stands in tags, filters and IAM conditions; longer than this nobody types it. */
const FLEET_NAME = /^[A-Za-z0-9_.-]{1,50}$/;
const REGION = /^[a-z]{2,4}(?:-[a-z]{2,10}){1,3}-\d{1,2}$/;
const LAUNCH_TEMPLATE = /^lt-[0-9a-f]{8,17}$/;
const SUBNET = /^subnet-[0-9a-f]{8,17}$/;
const INSTANCE_TYPE = /^[a-z0-9-]{2,20}\.[a-z0-9-]{2,20}$/;
/** The account's number, and the queue's name. */
const QUEUE_PATH = /^\/\d{12}\/[A-Za-z0-9_-]{1,80}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** A region has few zones, each with one subnet for machines. */
const SUBNETS_MAX = 16;
const INSTANCE_TYPES_MAX = 30;
/** One request must name them all. */
export const offeringsMax = 60;
const VERSION_MAX = 10_000;
/** Limit: AWS raises the bucket of launches by request, three times at once. */
const BURST_MAX = 1_000;
const PER_SECOND_MAX = 100;
const URL_CHARS_MAX = 1_024;

/** `fleet.ec2` */
export const Ec2Settings = z.strictObject({
  name: setting(
    {
      environment: "MAYFLY_EC2_NAME",
      description:
        "The fleet's name: the tag `mayfly:fleet` on everything it makes, and what it lists and destroys by. No other service of this account and region may have the same. Change it only while the fleet has no machines: those under the old name are no longer seen.",
    },
    z.string().regex(FLEET_NAME, "must be letters, digits, `_`, `.` and `-`, at most 50").default("mayfly"),
  ),
  region: setting(
    {
      environment: "MAYFLY_EC2_REGION",
      description:
        "The AWS region, such as `eu-central-1`. Change it only while the fleet has no machines: those in the old one are no longer seen.",
    },
    z.string().regex(REGION, "must be a region such as eu-central-1").nullable().default(null),
  ),
  endpoint: setting(
    {
      environment: "MAYFLY_EC2_ENDPOINT",
      description: "EC2's address, for an endpoint in your own network.",
      defaultText: "EC2's public one in that region",
    },
    z
      .string()
      .max(URL_CHARS_MAX)
      .refine(isEndpoint, "must be an https address (http on this host alone) without user, path or query")
      .nullable()
      .default(null),
  ),
  launch_template: setting(
    { environment: "MAYFLY_EC2_LAUNCH_TEMPLATE", description: "The id of the launch template of the machines." },
    z.string().regex(LAUNCH_TEMPLATE, "must be the id of a launch template, lt-…").nullable().default(null),
  ),
  launch_template_version: setting(
    {
      environment: "MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION",
      description: "Its version, as a number, so that a repeated launch is the same request.",
    },
    z.int(`must be a whole number from 1 to ${VERSION_MAX}`).min(1).max(VERSION_MAX).nullable().default(null),
  ),
  image_digest: setting(
    {
      environment: "MAYFLY_EC2_IMAGE_DIGEST",
      description: "The digest of the machine image that the launch template's AMI was made from. Receipts show it.",
    },
    z.string().regex(DIGEST, "must be sha256: and 64 hexadecimal digits").nullable().default(null),
  ),
  subnets: setting(
    {
      environment: "MAYFLY_EC2_SUBNETS",
      description: "The machines' subnets, best one in each of several zones.",
      defaultText: "none",
    },
    z
      .array(z.string().regex(SUBNET, "must be ids of subnets, subnet-…"))
      .max(SUBNETS_MAX, `must be at most ${SUBNETS_MAX} subnets`)
      .default([]),
  ),
  instance_types: setting(
    {
      environment: "MAYFLY_EC2_INSTANCE_TYPES",
      description:
        "Instance types that will do, the preferred first. Subnets times types should be 5 or more, or a shortage of one is felt.",
      defaultText: "none",
    },
    z
      .array(z.string().regex(INSTANCE_TYPE, "must be instance types such as m7i.large"))
      .max(INSTANCE_TYPES_MAX, `must be at most ${INSTANCE_TYPES_MAX} instance types`)
      .default([]),
  ),
  spot: setting(
    {
      environment: "MAYFLY_EC2_SPOT",
      description:
        "Ask for spot machines first and for on-demand ones when there are none. `false`: on-demand alone. AWS may take a spot machine back at any time, which costs its run an attempt; the run goes on with an on-demand one.",
    },
    z.boolean("must be true or false").default(true),
  ),
  launch_burst: setting(
    {
      environment: "MAYFLY_EC2_LAUNCH_BURST",
      description: "Launch requests at once, at most. AWS allows an account and region 5 unless it raised them.",
    },
    z.int(`must be a whole number from 1 to ${BURST_MAX}`).min(1).max(BURST_MAX).default(5),
  ),
  launches_per_second: setting(
    {
      environment: "MAYFLY_EC2_LAUNCHES_PER_SECOND",
      description: "Launch requests a second after those. Each can be for many machines.",
    },
    z
      .number(`must be a number from 0.1 to ${PER_SECOND_MAX}`)
      .min(0.1, `must be a number from 0.1 to ${PER_SECOND_MAX}`)
      .max(PER_SECOND_MAX, `must be a number from 0.1 to ${PER_SECOND_MAX}`)
      .default(2),
  ),
  notices_queue: setting(
    {
      environment: "MAYFLY_EC2_NOTICES_QUEUE",
      description:
        "The URL of the SQS queue with EventBridge's events of these machines. Without it a spot machine that AWS takes back is missed only once it is no longer listed.",
      defaultText: "none",
    },
    z
      .string()
      .max(URL_CHARS_MAX)
      .refine(isQueue, "must be the https URL of an SQS queue, with its account's number and its name")
      .nullable()
      .default(null),
  ),
});
export type Ec2Settings = z.infer<typeof Ec2Settings>;

/** Where and how machines are made on EC2. */
export interface Ec2Config {
  readonly fleet: string;
  readonly region: string;
  /** Null for EC2's public one. */
  readonly endpoint: string | null;
  readonly launchTemplate: { readonly id: string; readonly version: number };
  readonly image: Digest;
  readonly subnets: readonly string[];
  readonly instanceTypes: readonly string[];
  readonly spot: boolean;
  readonly launchBurst: number;
  readonly launchesPerSecond: number;
  /** The URL of the queue with notices of interruptions; null for none. */
  readonly noticesQueue: string | null;
}

type Name = keyof Ec2Settings;

const needed: readonly Name[] = [
  "region",
  "launch_template",
  "launch_template_version",
  "image_digest",
  "subnets",
  "instance_types",
];

/** Reports what machines on EC2 lack, and more offerings than one request may name. */
export function checkEc2(
  settings: Ec2Settings,
  provider: string,
  environmentOf: (key: string) => string,
  report: (key: string, message: string) => void,
): void {
  const named = (name: Name): string => `fleet.ec2.${name} (${environmentOf(`fleet.ec2.${name}`)})`;
  if (provider === "ec2") {
    const missing = needed.filter((name) => isEmpty(settings[name]));
    if (missing.length > 0) {
      report("fleet.provider", `the provider ec2 needs ${missing.map(named).join(" and ")}`);
    }
  }
  const offerings = settings.subnets.length * settings.instance_types.length;
  if (offerings > offeringsMax) {
    report(
      "fleet.ec2.instance_types",
      `subnets times instance types must be at most ${offeringsMax}, not ${offerings}`,
    );
  }
}

/** Null while something is missing that `checkEc2` reports for this provider. */
export function ec2Of(settings: Ec2Settings): Ec2Config | null {
  const { region, launch_template: id, launch_template_version: version, image_digest: image } = settings;
  const { subnets, instance_types: instanceTypes } = settings;
  if (region === null || id === null || version === null || image === null) {
    return null;
  }
  if (subnets.length === 0 || instanceTypes.length === 0) {
    return null;
  }
  return {
    fleet: settings.name,
    region,
    endpoint: settings.endpoint,
    launchTemplate: { id, version },
    image: image as Digest,
    subnets: [...new Set(subnets)],
    instanceTypes: [...new Set(instanceTypes)],
    spot: settings.spot,
    launchBurst: settings.launch_burst,
    launchesPerSecond: settings.launches_per_second,
    noticesQueue: settings.notices_queue,
  };
}

function isEmpty(value: Ec2Settings[Name]): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}

/** Nobody on the way may read or answer what is asked there. */
function isEndpoint(text: string): boolean {
  return closedUrl(text)?.pathname === "/";
}

function isQueue(text: string): boolean {
  return QUEUE_PATH.test(closedUrl(text)?.pathname ?? "");
}

/** Null for a URL with user, query or fragment, and for one over a way that others can read. */
function closedUrl(text: string): URL | null {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return null;
  }
  const isNear = ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  return url.protocol === "https:" || (url.protocol === "http:" && isNear) ? url : null;
}
