import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createMachineLookup } from "../../apps/orchestrator/src/broker/enrolment/lookup-client.ts";
import { overSocket } from "../../apps/orchestrator/src/host/socket-client.ts";
import { registerMachineLookup } from "../../apps/orchestrator/src/broker/enrolment/lookup-server.ts";
import { listenOnSocket } from "../../apps/orchestrator/src/host/listen.ts";
import { buildDispatchServer } from "../../apps/orchestrator/src/runs/dispatch-server.ts";
import { makeFolder } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { type Ec2World, openEc2World } from "../contract/provider/ec2-world.ts";

let world: Ec2World;
let app: ReturnType<typeof buildDispatchServer>;
let folder: string;
beforeEach(async () => {
  world = await openEc2World();
  folder = await makeFolder();
  app = buildDispatchServer({ claim: async () => null });
});
afterEach(async () => {
  await app.close();
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

it("does not name a machine of EC2 that was there in the last listing and has ended since", async () => {
  const { provider, calls } = world;
  registerMachineLookup(app, { list: () => provider.list(world.now()), everyMs: 0 });
  const socket = join(folder, "dispatch.sock");
  await listenOnSocket(app, socket, "own uid");
  const machineAt = createMachineLookup(overSocket(socket));

  const { machines } = await provider.ensureLaunched(world.intend(1));
  const [address = ""] = world.fake.state.instances().map(({ privateIp }) => privateIp);
  expect(await machineAt(address)).toBe(machines[0]);
  await world.powerOff(machines[0] ?? ("" as never));
  const before = calls("DescribeInstances");
  expect(await machineAt(address)).toBeNull();
  expect(calls("DescribeInstances")).toBe(before + 1);
  // Whoever asks for no moment, as the fleet does each second, is answered from that one.
  await provider.list();
  expect(calls("DescribeInstances")).toBe(before + 1);
});
