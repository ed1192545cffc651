import { createHash } from "node:crypto";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Digest } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createEbsClient } from "../../../apps/orchestrator/src/fleet/providers/ec2/ebs-client.ts";
import { createEc2Client } from "../../../apps/orchestrator/src/fleet/providers/ec2/ec2-client.ts";
import { publishImage } from "../../../apps/orchestrator/src/fleet/providers/ec2/publish-image.ts";
import { type EbsFake, type EbsFakeOptions, startEbsFake } from "../../fakes/ebs/server.ts";
import { type Ec2Fake, startEc2Fake } from "../../fakes/ec2/server.ts";

const MINUTE_MS = 60_000;

let folder: string;
let ec2: Ec2Fake;
let ebs: EbsFake;
let now: number;
let onPause: () => void;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-snapshot-"));
  now = 0;
  onPause = () => undefined;
  // In a time that stands still EC2 would count every look against one minute.
  ec2 = await startEc2Fake({ throttle: null });
  vi.stubEnv("AWS_ACCESS_KEY_ID", ec2.credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", ec2.credentials.secretAccessKey);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await ebs.close();
  await ec2.close();
  await rm(folder, { recursive: true, force: true });
});

async function useEbs(options: Omit<EbsFakeOptions, "ec2">): Promise<void> {
  ebs = await startEbsFake({ ec2, ...options });
}

/** Publishes a disk of one block, in a time that only pauses move. Answers the snapshot's id. */
async function publish(signal = new AbortController().signal): Promise<string> {
  const path = join(folder, "disk.raw");
  const bytes = Buffer.alloc(512 * 1024, 1);
  await writeFile(path, bytes);
  const handle = await open(path, "r");
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
  const ec2Client = createEc2Client({ region: ec2.region, endpoint: ec2.url });
  const ebsClient = createEbsClient({ region: ec2.region, endpoint: ebs.url });
  try {
    const { snapshot } = await publishImage({
      ec2: ec2Client,
      ebs: ebsClient,
      disk: { handle, bytes: bytes.length, digest, isSame: async () => true },
      name: "blue",
      kmsKey: null,
      clock: { now: () => now },
      async pause(ms) {
        now += ms;
        onPause();
      },
      signal,
      say: () => undefined,
    });
    return snapshot;
  } finally {
    ec2Client.destroy();
    ebsClient.destroy();
    await handle.close();
  }
}

describe("a snapshot that takes no blocks", () => {
  it("is given up for another one where nobody can have written it before", async () => {
    const isFirst = (id: string) => [...ec2.snapshots.keys()][0] === id;
    await useEbs({ unknownFor: (id) => (isFirst(id) ? Infinity : 0) });
    const used = await publish();
    expect([...ec2.snapshots.keys()].indexOf(used)).toBe(1);
    expect(ec2.snapshots.get(used)).toMatchObject({ state: "completed" });
    expect(now).toBeLessThan(2 * MINUTE_MS);
  });

  it("is waited for where an earlier call may have written it", async () => {
    const stopping = new AbortController();
    await useEbs({ staysPending: true, onComplete: () => stopping.abort() });
    await expect(publish(stopping.signal)).rejects.toThrow();
    const [written = ""] = ec2.snapshots.keys();
    onPause = () => (now > 5 * MINUTE_MS ? ebs.store(written) : undefined);
    expect(await publish()).toBe(written);
    expect(ec2.snapshots.size).toBe(1);
  });

  it("is waited for where this call has written it, though the answer was lost", async () => {
    await useEbs({ staysPending: true, loses: (target) => target.includes("/completion/") });
    onPause = () => (now > 5 * MINUTE_MS ? [...ec2.snapshots.keys()].forEach(ebs.store) : undefined);
    const used = await publish();
    expect([...ec2.snapshots.keys()]).toEqual([used]);
  });

  it("is said to be one when EBS never stores it, with what to do", async () => {
    await useEbs({ staysPending: true });
    await expect(publish()).rejects.toThrow(/does not store the snapshot snap-\w+: in an hour.*or delete it/);
    expect(ec2.state.images()).toEqual([]);
  });
});
