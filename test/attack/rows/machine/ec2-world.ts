import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Ec2Fake, startEc2Fake } from "../../../fakes/ec2/server.ts";
import { addTemplate, createTestClient } from "../../../fakes/ec2/testing.ts";
import { createEc2Guests, type Ec2Guests } from "../../../support/ec2-guests.ts";
import { startWorld, type TestWorld, type WorldOptions } from "../../../support/world.ts";
import { freePort } from "../../../support/free-port.ts";

/** A service whose machines are instances of the stand-in for EC2, each with a real guest. */
export interface Ec2World {
  readonly world: TestWorld;
  readonly ec2: Ec2Fake;
  /** Ends the service and then the stand-in with its guests. Fails if anything is left. */
  close(): Promise<void>;
}

/** Guests come to the broker's real door with mutual TLS, each from the address of its instance. */
export async function startEc2World(options: WorldOptions): Promise<Ec2World> {
  const port = await freePort();
  const pins = async () => (await readFile(join(world.stateDir, "broker/door/pins"), "utf8")).trim();
  const guests = await createEc2Guests({ port, pins, onPowerOff: (id) => powerOff(ec2, id) });
  const ec2: Ec2Fake = await startEc2Fake({
    // Addresses of this host, so that each guest's connections can come from its own.
    network: [127, 21],
    onInstance: guests.onInstance,
    pace: { pendingMs: 1_000, terminationMs: 1_000, skippedTerminationMs: 500 },
  });
  let world: TestWorld;
  try {
    ec2.place.image.tags["mayfly:image-digest"] = guests.image.digest;
    const environment = { ...options.environment, ...(await settings(ec2, guests, port)) };
    world = await startWorld({ ...options, environment });
  } catch (error) {
    await ec2.close();
    throw error;
  }
  return {
    world,
    ec2,
    async close() {
      try {
        await world.close();
      } finally {
        await ec2.close();
      }
    },
  };
}

/** EC2's endpoint, a launch template there, and everything of `fleet.ec2`. */
async function settings(ec2: Ec2Fake, guests: Ec2Guests, port: number): Promise<Record<string, string>> {
  const client = createTestClient(ec2);
  const template = await addTemplate(client, ec2);
  client.destroy();
  const { place, credentials } = ec2;
  return {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    MAYFLY_PROVIDER: "ec2",
    MAYFLY_EC2_NAME: "attack",
    MAYFLY_EC2_REGION: ec2.region,
    MAYFLY_EC2_ENDPOINT: ec2.url,
    MAYFLY_EC2_LAUNCH_TEMPLATE: template,
    MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION: "1",
    MAYFLY_EC2_IMAGE_DIGEST: guests.image.digest,
    MAYFLY_EC2_SUBNETS: place.subnets.map(({ id }) => id).join(","),
    MAYFLY_EC2_INSTANCE_TYPES: "m7i.large,m7a.large",
    MAYFLY_LISTEN_MACHINES_HOST: "127.0.0.1",
    MAYFLY_LISTEN_MACHINES_PORT: String(port),
  };
}

/** A guest that ended by itself takes its instance with it, unless that was terminated meanwhile. */
function powerOff(ec2: Ec2Fake, instance: string): void {
  const lives = ec2.state
    .instances()
    .some(({ id, phase }) => id === instance && (phase === "running" || phase === "pending"));
  if (lives) {
    ec2.powerOff(instance);
  }
}
