import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createBuckets, type Throttle } from "./buckets.ts";
import { createChance } from "./chance.ts";
import type { Fault } from "./faults.ts";
import { type Authorize, handle, type RecordedCall } from "./front.ts";
import { createGuests, type OnInstance } from "./guests.ts";
import { interrupt, isAlive, powerOff, settle } from "./life.ts";
import type { Credentials } from "./signature.ts";
import {
  type CapacityRule,
  type Chaos,
  createPlace,
  type FakeImage,
  type FakeInstance,
  type FakeInterface,
  type FakeSnapshot,
  type FakeVolume,
  type Lifecycle,
  type Network,
  type Pace,
  type Place,
  type World,
} from "./world.ts";

export interface Ec2FakeOptions {
  /** Names and misfortune follow from it and from the order of calls. 1 unless said. */
  readonly seed?: number;
  readonly region?: string;
  /** Where its machines have their addresses: 10.20.0.0/16 unless said. */
  readonly network?: Network;
  /** Epoch milliseconds: what instances, buckets and hidden things live by. The wall clock unless said. */
  readonly clock?: () => number;
  /** Epoch milliseconds: what signatures are checked against. */
  readonly wallClock?: () => number;
  /** All who may call, the fake's own first. */
  readonly credentials?: readonly Credentials[];
  /** Sizes that differ from EC2's published ones; null for no limits at all. */
  readonly throttle?: Throttle | null;
  readonly chaos?: Partial<Chaos>;
  readonly pace?: Partial<Pace>;
  readonly authorize?: Authorize;
  /** Called for each instance that is made. */
  readonly onInstance?: OnInstance;
  /** No page of images, snapshots, instances or route tables holds more; EC2's own bounds unless said. */
  readonly pageMax?: number;
  /** A freed address is handed out again at once; without it, only once all others were. */
  readonly reusesAddresses?: boolean;
}

export interface Ec2Fake extends Knobs {
  /** The endpoint. */
  readonly url: string;
  readonly region: string;
  readonly credentials: Credentials;
  /** What stands before any machine does. A test may change what is not read-only. */
  readonly place: Place;
  readonly state: Ec2State;
  /** Snapshots by id: what the stand-in for the EBS direct API writes to. */
  readonly snapshots: Map<string, FakeSnapshot>;
  readonly calls: readonly RecordedCall[];
  /** Every call that no good client makes, and every bug met here. */
  readonly violations: readonly string[];
  /** Can be repeated. Rejects when a guest's hook failed. */
  close(): Promise<void>;
}

/** How a test makes things happen. */
interface Knobs {
  /** The next good calls of this action go wrong, one fault each, in this order. */
  misbehave(action: string, ...faults: Fault[]): void;
  setChaos(chaos: Partial<Chaos>): void;
  /** From now on all rules hold, in the place of those before. */
  setCapacity(...rules: CapacityRule[]): void;
  /** Machines that may live at once; null for any number. */
  setQuota(lifecycle: Lifecycle, machines: number | null): void;
  setConsole(instanceId: string, text: string): void;
  /** EC2 takes a spot machine back. */
  interrupt(instanceId: string): void;
  /** The guest powers itself off. */
  powerOff(instanceId: string): void;
}

/** The truth as of now, whatever calls are shown of it. */
interface Ec2State {
  /** Terminated ones stay for an hour. */
  instances(): readonly FakeInstance[];
  /** Those that were registered. */
  images(): readonly FakeImage[];
  volumes(): readonly FakeVolume[];
  interfaces(): readonly FakeInterface[];
  /** What still costs money. Instances count until they are terminated. */
  left(): { instances: number; volumes: number; interfaces: number };
  callsByAction(): Readonly<Record<string, number>>;
}

const calm: Chaos = {
  hiddenMs: 0,
  hiddenLooks: 0,
  lostReplies: 0,
  lostCalls: 0,
  duplicates: 0,
  errors: 0,
  noCapacity: 0,
  leaks: 0,
  interruptions: 0,
  interruptWithinMs: 0,
};
const defaultCredentials: Credentials = { accessKeyId: "AKIAEXAMPLE", secretAccessKey: "example-secret" };

/**
 * A stand-in for EC2 in one account and region: the Query protocol over HTTP on a free loopback port. It takes what the
 * service model takes, refuses the rest, and goes wrong as it is told.
 */
export async function startEc2Fake(options: Ec2FakeOptions = {}): Promise<Ec2Fake> {
  const world = createWorld(options);
  const credentials = options.credentials ?? [defaultCredentials];
  const [calls, violations]: [RecordedCall[], string[]] = [[], []];
  const faults = new Map<string, Fault[]>();
  const { wallClock = Date.now, authorize = null } = options;
  const front = { world, credentials, wallClock, authorize, faults, calls, violations };
  const server = createServer((incoming, outgoing) => void handle(front, incoming, outgoing));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    ...knobsOf(world, faults),
    url: `http://127.0.0.1:${port}`,
    region: world.place.region,
    credentials: credentials[0] ?? defaultCredentials,
    place: world.place,
    state: stateOf(world, calls),
    snapshots: world.snapshots,
    calls,
    violations,
    async close() {
      if (server.listening) {
        const closed = once(server, "close");
        server.close();
        server.closeAllConnections();
        await closed;
      }
      await world.guests.close();
    },
  };
}

function createWorld(options: Ec2FakeOptions): World {
  const { seed = 1, region = "us-east-1", clock = Date.now, throttle = {} } = options;
  return {
    place: createPlace(region, seed, options.network),
    clock,
    chaos: { ...calm, ...options.chaos },
    pace: { pendingMs: 0, terminationMs: 0, skippedTerminationMs: 0, ...options.pace },
    buckets: createBuckets(clock, throttle),
    guests: createGuests(options.onInstance ?? null),
    names: createChance(seed),
    luck: createChance(seed + 1),
    instances: new Map(),
    volumes: new Map(),
    interfaces: new Map(),
    templates: new Map(),
    images: new Map(),
    snapshots: new Map(),
    answered: new Map(),
    capacity: [],
    consoles: new Map(),
    addressesGiven: new Map(),
    made: 0,
    quota: { spot: null, "on-demand": null },
    pageMax: options.pageMax ?? Infinity,
    reusesAddresses: options.reusesAddresses ?? false,
  };
}

function knobsOf(world: World, faults: Map<string, Fault[]>): Knobs {
  function alive(instanceId: string): FakeInstance {
    settle(world);
    const instance = world.instances.get(instanceId);
    if (instance === undefined || !isAlive(instance)) {
      throw new Error(`no living instance ${instanceId}`);
    }
    return instance;
  }

  return {
    misbehave: (action, ...more) => void faults.set(action, [...(faults.get(action) ?? []), ...more]),
    setChaos: (chaos) => void (world.chaos = { ...world.chaos, ...chaos }),
    setCapacity: (...rules) => void world.capacity.splice(0, Infinity, ...rules),
    setQuota: (lifecycle, machines) => void (world.quota[lifecycle] = machines),
    setConsole: (instanceId, text) => void world.consoles.set(instanceId, text),
    interrupt: (instanceId) => interrupt(world, alive(instanceId)),
    powerOff: (instanceId) => powerOff(world, alive(instanceId)),
  };
}

function stateOf(world: World, calls: readonly RecordedCall[]): Ec2State {
  const settled = <T>(things: ReadonlyMap<string, T>) => {
    settle(world);
    return [...things.values()];
  };
  return {
    instances: () => settled(world.instances),
    images: () => [...world.images.values()],
    volumes: () => settled(world.volumes),
    interfaces: () => settled(world.interfaces),
    left: () => ({
      instances: settled(world.instances).filter(({ phase }) => phase !== "terminated").length,
      volumes: world.volumes.size,
      interfaces: world.interfaces.size,
    }),
    callsByAction: () =>
      Object.fromEntries(
        [...Map.groupBy(calls, ({ action }) => action)].map(([action, made]) => [action, made.length]),
      ),
  };
}
