/** How instances come, go and leave things behind. Nothing runs by itself: each call first brings the world up to now. */
import type { Blueprint } from "./blueprint.ts";
import { Ec2Refusal } from "./refusal.ts";
import type { FakeInstance, FakeSubnet, Hidden, World } from "./world.ts";

interface Launch {
  readonly blueprint: Blueprint;
  readonly count: number;
  readonly fleetId: string | null;
  readonly clientToken: string | null;
}

/** A terminated instance still shows for about so long. */
const TERMINATED_SHOWN_MS = 60 * 60_000;
// The first four addresses and the last of a subnet are EC2's own.
const ADDRESSES_FIRST = 4;
const ADDRESSES = 4_096 - 5;

/** Makes instances with their volumes and interfaces. Throws InsufficientFreeAddressesInSubnet. */
export function launch(world: World, { blueprint, count, fleetId, clientToken }: Launch): FakeInstance[] {
  const subnet = world.place.subnets.find(({ id }) => id === blueprint.subnetId);
  if (subnet === undefined) {
    throw new Error("a blueprint names a subnet that was checked");
  }
  const reservationId = `r-${world.names.hex(17)}`;
  // All or none: without addresses for all nothing is made.
  return freeAddresses(world, subnet, count).map((privateIp, launchIndex) => {
    const made = { blueprint, subnet, reservationId, launchIndex, privateIp, fleetId, clientToken };
    const instance = makeInstance(world, made);
    makeInterface(world, instance);
    makeVolumes(world, instance);
    const { id, tags } = instance;
    world.guests.start({ id, privateIp, tags, template: blueprint.template });
    return instance;
  });
}

/** Brings everything to where it is by now. */
export function settle(world: World): void {
  const now = world.clock();
  for (const instance of world.instances.values()) {
    if (instance.phase === "pending" && now >= instance.launchedAt + world.pace.pendingMs) {
      instance.phase = "running";
    }
    if (instance.interruptAt !== null && now >= instance.interruptAt) {
      interrupt(world, instance);
    }
    if (instance.phase === "shutting-down" && now >= (instance.terminatedAt ?? now)) {
      instance.phase = "terminated";
      release(world, instance);
    }
    if (instance.phase === "terminated" && now >= (instance.terminatedAt ?? now) + TERMINATED_SHOWN_MS) {
      world.instances.delete(instance.id);
    }
  }
}

export function isAlive({ phase }: FakeInstance): boolean {
  return phase !== "terminated" && phase !== "shutting-down";
}

/** Repeated, it changes nothing. */
export function terminate(
  world: World,
  instance: FakeInstance,
  { code, message, ms }: { code: string; message: string; ms: number },
): void {
  if (isAlive(instance)) {
    instance.phase = "shutting-down";
    instance.reason = { code, message: `${code}: ${message}` };
    instance.terminatedAt = world.clock() + ms;
    instance.interruptAt = null;
    world.guests.stop(instance.id);
  }
}

/** EC2 takes a spot machine back. */
export function interrupt(world: World, instance: FakeInstance): void {
  const code = "Server.SpotInstanceTermination";
  terminate(world, instance, { code, message: "Spot instance termination", ms: world.pace.skippedTerminationMs });
}

/** The guest powers itself off: what then happens is its blueprint's choice. */
export function powerOff(world: World, instance: FakeInstance): void {
  const [code, message] = ["Client.InstanceInitiatedShutdown", "Instance initiated shutdown"];
  if (instance.blueprint.shutdownBehavior === "terminate") {
    terminate(world, instance, { code, message, ms: 0 });
    settle(world);
  } else if (isAlive(instance)) {
    instance.phase = "stopped";
    instance.reason = { code, message: `${code}: ${message}` };
    world.guests.stop(instance.id);
  }
}

function makeInstance(
  world: World,
  made: Pick<
    FakeInstance,
    "blueprint" | "subnet" | "reservationId" | "launchIndex" | "privateIp" | "fleetId" | "clientToken"
  >,
): FakeInstance {
  const { blueprint, fleetId } = made;
  const launchedAt = world.clock();
  const isTaken = blueprint.lifecycle === "spot" && world.luck.happens(world.chaos.interruptions);
  const instance: FakeInstance = {
    ...made,
    ...hidden(world),
    id: `i-${world.names.hex(17)}`,
    tags: { ...blueprint.tagged["instance"], ...systemTags(blueprint, fleetId) },
    launchedAt,
    interruptAt: isTaken ? launchedAt + world.luck.below(world.chaos.interruptWithinMs) : null,
    phase: "pending",
    reason: null,
    terminatedAt: null,
  };
  world.instances.set(instance.id, instance);
  return instance;
}

/** Tags that EC2 itself puts on. */
function systemTags({ template }: Blueprint, fleetId: string | null): Record<string, string> {
  return {
    ...(fleetId === null ? {} : { "aws:ec2:fleet-id": fleetId }),
    ...(template === null
      ? {}
      : {
          "aws:ec2launchtemplate:id": template.id,
          "aws:ec2launchtemplate:version": String(template.version),
        }),
  };
}

function makeInterface(world: World, { id, blueprint, subnet, privateIp }: FakeInstance): void {
  const card = {
    ...hidden(world),
    id: `eni-${world.names.hex(17)}`,
    subnet,
    privateIp,
    publicIp: blueprint.hasPublicAddress ? `203.0.113.${world.names.below(256)}` : null,
    groups: blueprint.groups,
    deleteOnTermination: blueprint.interfaceDeleteOnTermination,
    tags: { ...blueprint.tagged["network-interface"] },
    createdAt: world.clock(),
    instanceId: id,
  };
  world.interfaces.set(card.id, card);
}

function makeVolumes(world: World, { id, blueprint, subnet }: FakeInstance): void {
  for (const disk of blueprint.disks) {
    const volume = {
      ...hidden(world),
      id: `vol-${world.names.hex(17)}`,
      zone: subnet.zone,
      disk,
      tags: { ...blueprint.tagged["volume"] },
      createdAt: world.clock(),
      instanceId: id,
    };
    world.volumes.set(volume.id, volume);
  }
}

/** Lets go of what a terminated machine held: deleted where it was to be, and not leaked. */
function release(world: World, { id }: FakeInstance): void {
  for (const volume of world.volumes.values()) {
    if (volume.instanceId === id) {
      volume.instanceId = null;
      drop(world, world.volumes, volume.id, volume.disk.deleteOnTermination);
    }
  }
  for (const card of world.interfaces.values()) {
    if (card.instanceId === id) {
      card.instanceId = null;
      drop(world, world.interfaces, card.id, card.deleteOnTermination);
    }
  }
}

function drop(world: World, things: Map<string, unknown>, id: string, isWanted: boolean): void {
  if (isWanted && !world.luck.happens(world.chaos.leaks)) {
    things.delete(id);
  }
}

function hidden(world: World): Hidden {
  const { hiddenMs, hiddenLooks } = world.chaos;
  world.made += 1;
  return {
    ordinal: world.made,
    hiddenUntil: hiddenMs === 0 ? 0 : world.clock() + world.luck.below(hiddenMs + 1),
    hiddenLooks: hiddenLooks === 0 ? 0 : world.luck.below(hiddenLooks + 1),
  };
}

/** The next addresses never given, or, where addresses are reused, the lowest that are free. */
function freeAddresses(world: World, subnet: FakeSubnet, count: number): string[] {
  const taken = new Set(world.interfaces.values().map(({ privateIp }) => privateIp));
  const given = world.reusesAddresses ? 0 : (world.addressesGiven.get(subnet.id) ?? 0);
  const found: string[] = [];
  let step = 0;
  for (; step < ADDRESSES && found.length < count; step += 1) {
    const address = addressAt(subnet, ADDRESSES_FIRST + ((given + step) % ADDRESSES));
    if (!taken.has(address)) {
      found.push(address);
    }
  }
  if (found.length < count) {
    const why = `There are not enough free addresses in subnet '${subnet.id}' to satisfy the requested number of instances.`;
    throw new Ec2Refusal("InsufficientFreeAddressesInSubnet", why);
  }
  world.addressesGiven.set(subnet.id, given + step);
  return found;
}

function addressAt({ base: [first, second, third] }: FakeSubnet, offset: number): string {
  return `${first}.${second}.${third + Math.floor(offset / 256)}.${offset % 256}`;
}
