/** The same stand-in before a client that shares no code with the SDK: it holds what the SDK alone might excuse. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Ec2Fake, startEc2Fake } from "./server.ts";
import { fleetRequest, strictTemplate } from "./testing.ts";

const run = promisify(execFile);
/** Debian's own first: it is the one that a build machine installs. */
const places = ["/usr/bin", ...(process.env["PATH"] ?? "").split(delimiter)];
const aws = places.map((folder) => join(folder, "aws")).find((path) => existsSync(path));
// Each call starts an interpreter.
const CALL_MS_MAX = 30_000;
const TEST_MS = 120_000;

// Where builds are made it has to be there: a test that is left out shows nothing.
const isLeftOut = aws === undefined && process.env["CI"] !== "true";
const why = isLeftOut ? " (left out: awscli is not installed)" : "";

describe.skipIf(isLeftOut)(`the stand-in for EC2 before awscli${why}`, () => {
  let fake: Ec2Fake;

  beforeEach(async () => {
    fake = await startEc2Fake();
  });

  afterEach(async () => {
    await fake.close();
  });

  it(
    "registers an image of a snapshot, lists both, and removes them",
    async () => {
      const id = `snap-${"a".repeat(17)}`;
      const shown = { ordinal: 0, hiddenUntil: 0, hiddenLooks: 0, startedAt: 0, blocks: new Map() };
      const stored = { id, sizeGib: 1, encrypted: true, kmsKey: null, tags: {}, state: "completed" } as const;
      fake.snapshots.set(id, { ...shown, ...stored });
      const disk = `DeviceName=/dev/xvda,Ebs={SnapshotId=${id},VolumeType=gp3,DeleteOnTermination=true}`;
      const form = ["--architecture", "x86_64", "--virtualization-type", "hvm", "--boot-mode", "uefi", "--ena-support"];
      // Debian's awscli knows no tags here yet.
      const root = ["--root-device-name", "/dev/xvda", "--block-device-mappings", disk];
      const named = ["--name", "blue-machine", "--imds-support", "v2.0"];
      const { ImageId: image } = await ec2("register-image", ...named, ...form, ...root);
      const { Images: images } = await ec2("describe-images", "--owners", "self", "--image-ids", String(image));
      expect(images).toMatchObject([{ Name: "blue-machine", BootMode: "uefi", EnaSupport: true }]);
      const { Snapshots: snapshots } = await ec2("describe-snapshots", "--snapshot-ids", id);
      expect(snapshots).toMatchObject([{ State: "completed", Encrypted: true }]);
      await expect(ec2("delete-snapshot", "--snapshot-id", id)).rejects.toThrow("InvalidSnapshot.InUse");
      await ec2("deregister-image", "--image-id", String(image));
      await ec2("delete-snapshot", "--snapshot-id", id);
      expect([fake.state.images(), fake.snapshots.size]).toEqual([[], 0]);
      expect(fake.violations).toEqual([]);
    },
    TEST_MS,
  );

  /** What the command prints, or the error's line. */
  async function ec2(...words: string[]): Promise<{ [name: string]: unknown }> {
    if (aws === undefined) {
      throw new Error("awscli is not installed (Debian: apt-get install awscli)");
    }
    const env = {
      PATH: process.env["PATH"],
      HOME: "/nonexistent",
      AWS_ACCESS_KEY_ID: fake.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: fake.credentials.secretAccessKey,
      AWS_DEFAULT_REGION: fake.region,
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_MAX_ATTEMPTS: "1",
      AWS_PAGER: "",
    };
    const args = ["ec2", ...words, "--endpoint-url", fake.url, "--output", "json"];
    const { stdout } = await run(aws, args, { env, timeout: CALL_MS_MAX });
    return stdout.trim() === "" ? {} : (JSON.parse(stdout) as { [name: string]: unknown });
  }

  /** Without the one member that this awscli is too old to know. */
  function templateData(): string {
    const { BlockDeviceMappings: _disks, ...data } = strictTemplate(fake);
    const Ebs = { VolumeSize: 8, VolumeType: "gp3", Encrypted: true, DeleteOnTermination: true };
    return JSON.stringify({ ...data, BlockDeviceMappings: [{ DeviceName: fake.place.image.rootDevice, Ebs }] });
  }

  it(
    "launches, finds and ends a machine",
    async () => {
      const name = ["--launch-template-name", "cli"];
      const made = await ec2("create-launch-template", ...name, "--launch-template-data", templateData());
      const { LaunchTemplateId: template } = made["LaunchTemplate"] as { LaunchTemplateId: string };
      const { LaunchTemplateConfigs: configs, TargetCapacitySpecification: capacity } = fleetRequest(fake, template, 2);
      const tags = [{ ResourceType: "instance", Tags: [{ Key: "fleet", Value: "ü & <x>" }] }];
      const what = ["--launch-template-configs", JSON.stringify(configs), "--client-token", "t"];
      const count = ["--target-capacity-specification", JSON.stringify(capacity)];
      const tagged = ["--tag-specifications", JSON.stringify(tags)];
      const fleet = await ec2("create-fleet", "--type", "instant", ...what, ...count, ...tagged);
      const ids = (fleet["Instances"] as { InstanceIds: string[] }[]).flatMap(({ InstanceIds }) => InstanceIds);
      expect(ids).toHaveLength(2);
      const filter = "Name=tag:fleet,Values=ü & <x>";
      const { Reservations: found } = await ec2("describe-instances", "--filters", filter, "--page-size", "5");
      const instance = { State: { Name: "running" }, MetadataOptions: { HttpEndpoint: "disabled" } };
      expect(found).toMatchObject([{ Instances: [{ ...instance, InstanceId: ids[0] }, { InstanceId: ids[1] }] }]);
      const ended = await ec2("terminate-instances", "--instance-ids", ...ids);
      expect(ended["TerminatingInstances"]).toMatchObject([{ CurrentState: { Name: "shutting-down" } }, {}]);
      expect(fake.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
      expect(fake.violations).toEqual([]);
    },
    TEST_MS,
  );

  it(
    "is told the same refusals",
    async () => {
      await expect(ec2("describe-instances", "--instance-ids", "i-0123456789abcdef0")).rejects.toThrow(
        "InvalidInstanceID.NotFound",
      );
      await expect(ec2("delete-volume", "--volume-id", "vol-0123456789abcdef0", "--dry-run")).rejects.toThrow(
        "DryRunOperation",
      );
      await expect(ec2("describe-key-pairs")).rejects.toThrow("InvalidAction");
      expect(fake.violations).toEqual([expect.stringContaining("DescribeKeyPairs: InvalidAction")]);
    },
    TEST_MS,
  );
});
