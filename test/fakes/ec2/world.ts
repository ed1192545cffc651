/** What there is in the stand-in's one account and region. */
import type { Blueprint, Disk } from "./blueprint.ts";
import type { Buckets } from "./buckets.ts";
import { type Chance, createChance } from "./chance.ts";
import type { Guests } from "./guests.ts";
import type { FakeTemplate } from "./templates.ts";

export type Tags = Record<string, string>;
export type Lifecycle = "spot" | "on-demand";

/** Something that was made but may not show yet: EC2 is eventually consistent. */
export interface Hidden {
  /** Rises with each thing made: the order of a listing. */
  readonly ordinal: number;
  /** Not shown before (epoch milliseconds). */
  readonly hiddenUntil: number;
  /** Nor to the first so many looks. */
  hiddenLooks: number;
}

export interface FakeInstance extends Hidden {
  readonly id: string;
  readonly reservationId: string;
  readonly launchIndex: number;
  readonly blueprint: Blueprint;
  readonly subnet: FakeSubnet;
  readonly privateIp: string;
  readonly tags: Tags;
  readonly fleetId: string | null;
  readonly clientToken: string | null;
  readonly launchedAt: number;
  /** When EC2 takes a spot machine back; null for never. */
  interruptAt: number | null;
  phase: "pending" | "running" | "shutting-down" | "terminated" | "stopped";
  reason: { readonly code: string; readonly message: string } | null;
  /** Set once it is shutting down. */
  terminatedAt: number | null;
}

export interface FakeVolume extends Hidden {
  readonly id: string;
  readonly zone: string;
  readonly disk: Disk;
  readonly tags: Tags;
  readonly createdAt: number;
  /** Null once nothing holds it. */
  instanceId: string | null;
}

export interface FakeInterface extends Hidden {
  readonly id: string;
  readonly subnet: FakeSubnet;
  readonly privateIp: string;
  readonly publicIp: string | null;
  readonly groups: readonly string[];
  readonly deleteOnTermination: boolean;
  readonly tags: Tags;
  readonly createdAt: number;
  instanceId: string | null;
}

export interface FakeSubnet {
  readonly id: string;
  readonly vpcId: string;
  readonly zone: string;
  readonly zoneId: string;
  /** The first three numbers of its addresses begin with this: `10.20.16` stands for 10.20.16.0/20. */
  readonly base: readonly [number, number, number];
  readonly cidr: string;
}

export interface FakeType {
  readonly name: string;
  readonly vcpus: number;
  readonly memoryMib: number;
  /** On demand, per hour. */
  readonly dollars: number;
  /** The zones' letters where it is offered. */
  readonly zones: string;
  /** What it cannot do that the others can. */
  readonly lacks?: "x86_64" | "uefi" | "ena" | "spot";
}

export interface FakeImage {
  readonly id: string;
  readonly name: string;
  readonly rootDevice: string;
  readonly sizeGib: number;
  readonly tags: Tags;
  readonly snapshot: string | null;
  readonly bootMode: string | null;
  readonly imdsSupport: string | null;
  readonly ena: boolean;
  readonly deleteOnTermination: boolean;
  readonly volumeType: string;
  readonly owner: string;
}

/** As the EBS direct API wrote it. */
export interface FakeSnapshot extends Hidden {
  readonly id: string;
  readonly sizeGib: number;
  readonly encrypted: boolean;
  readonly kmsKey: string | null;
  readonly tags: Tags;
  readonly startedAt: number;
  /** The checksum of each block written, raw, by its index. */
  readonly blocks: Map<number, Buffer>;
  state: "pending" | "completed" | "error";
}

/** A limit on capacity: of all machines that match it, so many can live at once. */
export interface CapacityRule {
  readonly type?: string;
  readonly zone?: string;
  readonly lifecycle?: Lifecycle;
  readonly machines: number;
}

/** TCP to or from one range of addresses. */
interface Permission {
  readonly cidr: string;
  readonly port: number;
}

/** The first two numbers of every address: `[10, 20]` stands for 10.20.0.0/16. */
export type Network = readonly [number, number];

export interface Place {
  readonly region: string;
  readonly account: string;
  readonly vpc: { readonly id: string; readonly cidr: string; dnsSupport: boolean; dnsHostnames: boolean };
  readonly subnets: readonly FakeSubnet[];
  readonly group: { readonly id: string; readonly name: string; ingress: Permission[]; egress: Permission[] };
  readonly image: {
    readonly id: string;
    readonly name: string;
    readonly rootDevice: string;
    readonly sizeGib: number;
    readonly tags: Tags;
    /** The account whose image it is; another's is listed without its tags. */
    owner: string;
  };
  readonly types: FakeType[];
  /** Subnets that give machines what nobody asked for, by id. */
  readonly gifts: Map<string, "public address" | "version 6">;
  /** The network's main route table: what it has besides the network itself. */
  readonly routes: { readonly id: string; more: FakeRoute[] };
  /** Route tables that subnets are tied to: those go by theirs and not by the main one. */
  readonly ownTables: { readonly id: string; readonly subnets: readonly string[]; readonly more: FakeRoute[] }[];
}

/** A destination and one target, as EC2 names them. */
interface FakeRoute {
  readonly DestinationCidrBlock?: string;
  readonly DestinationIpv6CidrBlock?: string;
  readonly DestinationPrefixListId?: string;
  readonly GatewayId?: string;
  readonly NatGatewayId?: string;
  readonly VpcPeeringConnectionId?: string;
  readonly NetworkInterfaceId?: string;
}

/** How things go wrong by themselves. Rates are from 0 to 1; everything is off unless it is set. */
export interface Chaos {
  /** A new thing shows after up to so long. */
  readonly hiddenMs: number;
  /** A new thing is missed by up to so many looks. */
  readonly hiddenLooks: number;
  /** Answers that never arrive though the action was carried out. */
  readonly lostReplies: number;
  /** Calls that never arrive. */
  readonly lostCalls: number;
  /** Calls that are carried out twice. */
  readonly duplicates: number;
  /** Calls answered with InternalError, Unavailable or RequestLimitExceeded, without effect. */
  readonly errors: number;
  /** Offerings that are out of capacity, drawn per launch. */
  readonly noCapacity: number;
  /** Volumes and interfaces that stay behind though they were to be deleted with their machine. */
  readonly leaks: number;
  /** Spot machines that are taken back within `interruptWithinMs`. */
  readonly interruptions: number;
  readonly interruptWithinMs: number;
}

/** How long things take. */
export interface Pace {
  readonly pendingMs: number;
  /** From TerminateInstances to `terminated`, where the guest is asked to shut down. */
  readonly terminationMs: number;
  /** The same with SkipOsShutdown. */
  readonly skippedTerminationMs: number;
}

export interface World {
  readonly place: Place;
  readonly clock: () => number;
  chaos: Chaos;
  readonly pace: Pace;
  readonly buckets: Buckets;
  readonly guests: Guests;
  /** One chance for names, one for misfortune: a fault more does not rename what follows. */
  readonly names: Chance;
  readonly luck: Chance;
  readonly instances: Map<string, FakeInstance>;
  readonly volumes: Map<string, FakeVolume>;
  readonly interfaces: Map<string, FakeInterface>;
  readonly templates: Map<string, FakeTemplate>;
  /** Registered here, by id. */
  readonly images: Map<string, FakeImage>;
  readonly snapshots: Map<string, FakeSnapshot>;
  /** Answers to calls with a client token, by action and token. */
  readonly answered: Map<string, { readonly input: string; readonly answer: object }>;
  readonly capacity: CapacityRule[];
  readonly consoles: Map<string, string>;
  /** Addresses handed out so far, by subnet. */
  readonly addressesGiven: Map<string, number>;
  /** Things made so far. */
  made: number;
  /** Machines that may live at once, by lifecycle; null for no quota. */
  quota: Record<Lifecycle, number | null>;
  /** EC2 may cut a page anywhere. */
  readonly pageMax: number;
  /** Whether a freed address is handed out again at once. */
  reusesAddresses: boolean;
}

const TYPES: readonly FakeType[] = [
  { name: "m7i.large", vcpus: 2, memoryMib: 8_192, dollars: 0.1008, zones: "abc" },
  { name: "m7a.large", vcpus: 2, memoryMib: 8_192, dollars: 0.11592, zones: "abc" },
  { name: "m6i.large", vcpus: 2, memoryMib: 8_192, dollars: 0.096, zones: "abc" },
  { name: "m6a.large", vcpus: 2, memoryMib: 8_192, dollars: 0.0864, zones: "abc" },
  { name: "c7i.xlarge", vcpus: 4, memoryMib: 8_192, dollars: 0.1785, zones: "abc" },
  { name: "r7i.large", vcpus: 2, memoryMib: 16_384, dollars: 0.1323, zones: "ab" },
];

/** What the image was made from: tests that boot no real one name this in their settings. */
const IMAGE_DIGEST = `sha256:${"1".repeat(64)}`;

/** One network of three subnets in three zones, one group that lets nothing in, one image, six types. */
export function createPlace(region: string, seed: number, [first, second]: Network = [10, 20]): Place {
  const names = createChance(seed ^ 0x5eed);
  const vpcId = `vpc-${names.hex(17)}`;
  const subnets = ["a", "b", "c"].map((letter, index): FakeSubnet => {
    const third = 16 * (index + 1);
    return {
      id: `subnet-${names.hex(17)}`,
      vpcId,
      zone: `${region}${letter}`,
      zoneId: `use1-az${index + 1}`,
      base: [first, second, third],
      cidr: `${first}.${second}.${third}.0/20`,
    };
  });
  const account = "123456789012";
  return {
    region,
    account,
    vpc: { id: vpcId, cidr: `${first}.${second}.0.0/16`, dnsSupport: false, dnsHostnames: false },
    subnets,
    group: { id: `sg-${names.hex(17)}`, name: "machines", ingress: [], egress: [] },
    image: {
      id: `ami-${names.hex(17)}`,
      name: "mayfly-machine",
      rootDevice: "/dev/xvda",
      sizeGib: 2,
      tags: { "mayfly:image-digest": IMAGE_DIGEST },
      owner: account,
    },
    types: [...TYPES],
    gifts: new Map(),
    routes: { id: `rtb-${names.hex(17)}`, more: [] },
    ownTables: [],
  };
}

/** Whether a look finds the thing; each look that does not counts. */
export function isVisible(world: World, thing: Hidden): boolean {
  if (thing.hiddenUntil > world.clock()) {
    return false;
  }
  if (thing.hiddenLooks === 0) {
    return true;
  }
  thing.hiddenLooks -= 1;
  return false;
}
