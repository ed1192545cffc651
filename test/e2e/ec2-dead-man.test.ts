import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateFleetCommand } from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { type Ec2Fake, startEc2Fake } from "../fakes/ec2/server.ts";
import { addTemplate, createTestClient, fleetRequest } from "../fakes/ec2/testing.ts";
import { createEc2Guests, type Ec2Guests } from "../support/ec2-guests.ts";
import { eventually, processesNaming } from "../support/service.ts";

/** From the guest's start, by its own clock; an emulated one on a busy host takes up to half of it to come to its agent. */
const LIFETIME_S = 120;
/** An image that must be built first takes minutes on a small host. */
const START_MS = 15 * 60_000;
const END_MS = 6 * 60_000;

let folder: string;
let ec2: Ec2Fake;
let guests: Ec2Guests;
/** A broker's door that is killed when the guest has come to it, and never opens again. */
let door: Server;
const calls: Socket[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-dead-man-"));
  const { pins } = await loadDoorKeys(folder, Date.now());
  door = createServer((socket) => {
    socket.on("error", () => undefined);
    calls.push(socket);
    killDoor();
  }).listen(0, "127.0.0.1");
  await once(door, "listening");
  guests = await createEc2Guests({
    port: (door.address() as AddressInfo).port,
    pins: async () => pins.join(","),
    lifetimeSeconds: LIFETIME_S,
    onPowerOff: (id) => ec2.powerOff(id),
  });
  ec2 = await startEc2Fake({
    network: [127, 21],
    onInstance: guests.onInstance,
    pace: { pendingMs: 1_000, terminationMs: 1_000, skippedTerminationMs: 500 },
  });
}, START_MS);

afterAll(async () => {
  await ec2.close();
  killDoor();
  await rm(folder, { recursive: true, force: true });
});

describe("an instance whose broker is killed and never comes back, of a fleet that nobody looks after any more", () => {
  it(
    "ends itself when its lifetime is over, and its volume and interface go with it",
    { timeout: END_MS + 60_000 },
    async () => {
      const client = createTestClient(ec2);
      const template = await addTemplate(client, ec2);
      await client.send(new CreateFleetCommand(fleetRequest(ec2, template, 1, 1)));
      client.destroy();
      expect(ec2.state.left()).toEqual({ instances: 1, volumes: 1, interfaces: 1 });
      await eventually(
        async () => (ec2.state.left().instances === 0 ? true : null),
        END_MS,
        async () => `it is there still; its last words: ${JSON.stringify(guests.consoles()[0]?.slice(-1_000))}`,
      );
      // It had come as far as the door: what ended it is its time and no fault.
      expect(calls.length).toBeGreaterThan(0);
      expect(door.listening).toBe(false);
      expect(guests.consoles()[0]).toContain("mayfly: the machine's lifetime is over");
      expect(ec2.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
      expect(Object.keys(ec2.state.callsByAction()).sort()).toEqual(["CreateFleet", "CreateLaunchTemplate"]);
      const [instance] = ec2.state.instances();
      // As EC2 tells it where the guest itself shut down and its template says that this is its end.
      expect(instance?.phase).toBe("terminated");
      expect(instance?.reason?.code).toBe("Client.InstanceInitiatedShutdown");
      expect(await processesNaming(instance?.id ?? "")).toEqual([]);
    },
  );
});

/** Whoever is connected is cut off, and nobody is let in again: the guest's connections are refused from then on. */
function killDoor(): void {
  door.close();
  calls.forEach((socket) => socket.destroy());
}
