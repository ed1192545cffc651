import { execFile } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { CreateFleetCommand, DescribeVolumesCommand, type EC2Client } from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bundleSweeper } from "../../infra/cdk/src/sweeper-bundle.ts";
import { sweepOnce } from "../../infra/cdk/sweeper/index.ts";
import { createChance } from "../fakes/ec2/chance.ts";
import { type Ec2Fake, startEc2Fake } from "../fakes/ec2/server.ts";
import { addTemplate, createTestClient, fleetRequest } from "../fakes/ec2/testing.ts";

/** What the service and the watchdogs have, before a sweep takes over. */
const GRACE_MS = 10 * 60_000;
/** Small enough to be read: without core's schemas. */
const BUNDLE_BYTES_MAX = 50_000;
const root = resolve(import.meta.dirname, "../..");
/** More than one sweep asks for one by one. */
const MANY = 30;

describe("the sweeper, against the stand-in for EC2", () => {
  let now: number;
  let fake: Ec2Fake;
  let ec2: EC2Client;
  let template: string;
  let mayDo: (call: { action: string; input: object }) => boolean;

  beforeEach(async () => {
    now = Date.parse("2026-11-22T12:00:00.000Z");
    mayDo = () => true;
    fake = await startEc2Fake({ throttle: null, clock: () => now, authorize: (call) => mayDo(call) });
    ec2 = createTestClient(fake);
    template = await addTemplate(ec2, fake);
  });

  afterEach(async () => {
    ec2.destroy();
    await fake.close();
  });

  async function launch(fleet: string, deadline: number, count = 1): Promise<void> {
    const Tags = [
      { Key: "mayfly:fleet", Value: fleet },
      { Key: "mayfly:deadline", Value: new Date(deadline).toISOString() },
    ];
    const TagSpecifications = (["instance", "volume", "network-interface"] as const).map((ResourceType) => ({
      ResourceType,
      Tags,
    }));
    await ec2.send(new CreateFleetCommand({ ...fleetRequest(fake, template, count), TagSpecifications }));
  }

  /** Machines that ended and left their volumes and interfaces behind. */
  async function leak(count: number): Promise<void> {
    await launch("ours", now, count);
    fake.setChaos({ leaks: 1 });
    now += GRACE_MS + 1;
    await sweep();
    fake.setChaos({ leaks: 0 });
  }

  function sweep(begin?: () => number) {
    return sweepOnce({ ec2, fleet: "ours", now, ...(begin === undefined ? {} : { begin }) });
  }

  it("ends what has outlived its deadline, and nothing of another fleet", async () => {
    await launch("ours", now, 3);
    await launch("ours", now + 2 * GRACE_MS);
    await launch("theirs", now);
    now += GRACE_MS;
    expect(await sweep()).toMatchObject({ msg: "swept", fleet: "ours", total: 3, left: [] });
    expect(fake.state.left()).toEqual({ instances: 2, volumes: 2, interfaces: 2 });
  });

  it("removes volumes and interfaces that a machine left behind", async () => {
    await leak(2);
    const leaked = fake.state.left();
    expect(leaked.volumes + leaked.interfaces).toBeGreaterThan(0);
    const { total } = await sweep();
    expect(total).toBe(leaked.volumes + leaked.interfaces);
    expect(fake.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
  });

  it("ends nothing when the fleet cannot be read whole", async () => {
    await launch("ours", now);
    now += GRACE_MS;
    mayDo = ({ action }) => action !== "DescribeVolumes";
    await expect(sweep()).rejects.toMatchObject({ code: "PROVIDER_UNAVAILABLE" });
    expect(fake.state.left().instances).toBe(1);
  });

  it("removes loose things however many machines cannot be ended", async () => {
    await leak(2);
    await launch("ours", now - GRACE_MS, MANY);
    mayDo = ({ action }) => action !== "TerminateInstances";
    const { left } = await sweep();
    expect(left).toHaveLength(MANY);
    expect(fake.state.left()).toEqual({ instances: MANY, volumes: MANY, interfaces: MANY });
  });

  it("removes interfaces however many volumes cannot be", async () => {
    await leak(MANY);
    const { interfaces } = fake.state.left();
    expect(interfaces).toBeGreaterThan(0);
    mayDo = ({ action }) => action !== "DeleteVolume";
    for (let sweeps = 0; sweeps * 25 < interfaces; sweeps++) {
      await sweep();
    }
    expect(fake.state.left().interfaces).toBe(0);
  });

  it("comes to each thing in time, though many before it are refused every time", async () => {
    await leak(MANY);
    const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({}));
    expect(Volumes.length).toBeGreaterThan(25);
    const last = Volumes.at(-1)?.VolumeId;
    mayDo = ({ action, input }) => action !== "DeleteVolume" || ("VolumeId" in input && input.VolumeId === last);
    const { next } = createChance(7);
    const isThere = async () =>
      (await ec2.send(new DescribeVolumesCommand({}))).Volumes?.some(({ VolumeId }) => VolumeId === last);
    expect(await isThere()).toBe(true);
    for (let sweeps = 0; sweeps < 10; sweeps++) {
      await sweep(next);
    }
    expect(await isThere()).toBe(false);
  });

  it("is one file that Lambda can run, and fails where something is left", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-sweeper-"));
    try {
      expect(bundleSweeper(folder)).toBe(true);
      expect((await stat(join(folder, "index.js"))).size).toBeLessThan(BUNDLE_BYTES_MAX);
      await launch("ours", Date.parse("2001-01-01T00:00:00.000Z"), 2);
      await launch("ours-verify", Date.parse("2001-01-01T00:00:00.000Z"));
      mayDo = ({ action }) => action !== "TerminateInstances";
      const failed = await runBundle(folder);
      expect(failed.stderr).toContain("3 things could not be ended");
      mayDo = () => true;
      const done = await runBundle(folder);
      expect(
        done.stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line)),
      ).toMatchObject([
        { msg: "swept", fleet: "ours", total: 2, left: [] },
        { msg: "swept", fleet: "ours-verify", total: 1, left: [] },
      ]);
      expect(fake.state.left().instances).toBe(0);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  /** As Lambda does: the SDK is not beside the file, and all it is told stands in the environment. */
  async function runBundle(folder: string): Promise<{ stdout: string; stderr: string }> {
    const env = {
      NODE_PATH: join(root, "node_modules"),
      FLEET: "ours",
      AWS_REGION: fake.region,
      AWS_ENDPOINT_URL: fake.url,
      AWS_ACCESS_KEY_ID: fake.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: fake.credentials.secretAccessKey,
    };
    const call = `require(${JSON.stringify(folder)}).handler().catch((error) => console.error(error.message))`;
    return promisify(execFile)(process.execPath, ["--eval", call], { cwd: folder, env });
  }
});
