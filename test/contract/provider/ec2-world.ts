import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { EC2Client } from "@aws-sdk/client-ec2";
import { type Digest, type Ec2Config, formatId, intendLaunch, type Launch, type LaunchId } from "@mayfly/core";
import { createEc2Client } from "../../../apps/orchestrator/src/fleet/providers/ec2/ec2-client.ts";
import {
  createEc2Provider,
  type Ec2Provider,
} from "../../../apps/orchestrator/src/fleet/providers/ec2/ec2-provider.ts";
import { instanceIdOf } from "../../../apps/orchestrator/src/fleet/providers/ec2/machine-id.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { type Ec2Fake, type Ec2FakeOptions, startEc2Fake } from "../../fakes/ec2/server.ts";
import { addTemplate } from "../../fakes/ec2/testing.ts";
import type { ProviderWorld } from "./provider-suite.ts";

const LIFE_MS = 60 * 60_000;
export const fleet = "blue";

export interface Ec2World extends ProviderWorld {
  readonly provider: Ec2Provider;
  readonly fake: Ec2Fake;
  readonly ec2: EC2Client;
  readonly config: Ec2Config;
  now(): number;
  reopen(): Ec2Provider;
  /** How often EC2 was asked for this. */
  calls(action: string): number;
}

/** The provider before the stand-in, in a time that only pauses move. */
export async function openEc2World(
  options: Omit<Ec2FakeOptions, "clock"> & {
    config?: Partial<Ec2Config>;
    /** What the stand-in is right to complain about; of anything else `close` complains. */
    violations?: RegExp;
  } = {},
): Promise<Ec2World> {
  let now = 1_800_000_000_000;
  const clock = { now: () => now };
  const pass = async (ms: number): Promise<void> => {
    now += ms;
  };
  const { config: overrides, violations, ...fakeOptions } = options;
  const fake = await startEc2Fake({ ...fakeOptions, clock: clock.now });
  const { url, region, credentials, place } = fake;
  const ec2 = createEc2Client({ region, endpoint: url, credentials });
  const config: Ec2Config = {
    fleet,
    region,
    endpoint: url,
    launchTemplate: { id: await addTemplate(ec2, fake), version: 1 },
    image: `sha256:${"1".repeat(64)}` as Digest,
    subnets: place.subnets.map(({ id }) => id),
    instanceTypes: ["m7i.large", "m7a.large"],
    spot: true,
    launchBurst: 5,
    launchesPerSecond: 2,
    noticesQueue: null,
    ...overrides,
  };
  const create = (): Ec2Provider =>
    createEc2Provider({ config, ec2, clock, pause: pass, log: createLog({ level: "silent" }).log });
  const provider = create();
  return {
    provider,
    fake,
    ec2,
    config,
    pass,
    now: clock.now,
    reopen: create,
    intend: (count, lifeMs = LIFE_MS) => intend(provider, count, { now, lifeMs }),
    calls: (action) => fake.state.callsByAction()[action] ?? 0,
    async powerOff(machine) {
      fake.powerOff(instanceIdOf(machine) ?? "");
    },
    async close() {
      ec2.destroy();
      await fake.close();
      assert.deepEqual(
        fake.violations.filter((violation) => violations?.test(violation) !== true),
        [],
      );
    },
  };
}

function intend(provider: Ec2Provider, count: number, time: { now: number; lifeMs: number }): Launch {
  const planned = provider.planLaunch(count);
  assert("plan" in planned);
  const id = formatId("lch", time.now, randomBytes(10)) as LaunchId;
  const launch = intendLaunch({ id, provider, ...planned, now: time.now, runMsMax: 0 });
  return { ...launch, deadline: time.now + time.lifeMs };
}
