import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createProgram } from "../../../apps/orchestrator/src/cli/program.ts";
import { type EbsFake, type EbsFakeOptions, startEbsFake } from "../../fakes/ebs/server.ts";
import { type Ec2Fake, startEc2Fake } from "../../fakes/ec2/server.ts";
import { createTestTerminal } from "../../support/test-terminal.ts";

const BLOCK = 512 * 1024;

let folder: string;
let path: string;
let digest: string;
let ec2: Ec2Fake;
let ebs: EbsFake;
let stop: () => void;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-publish-"));
  path = join(folder, "disk.raw");
  // Two blocks, two of zeroes, one, and a bit of a last one.
  const disk = Buffer.concat([filled(2, 1), filled(2, 0), filled(1, 7), Buffer.from("the end")]);
  await writeFile(path, disk);
  digest = `sha256:${createHash("sha256").update(disk).digest("hex")}`;
  ec2 = await startEc2Fake();
  ebs = await startEbsFake({ ec2 });
  vi.stubEnv("AWS_ACCESS_KEY_ID", ec2.credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", ec2.credentials.secretAccessKey);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await ebs.close();
  await ec2.close();
  await rm(folder, { recursive: true, force: true });
});

/** In the place of the stand-in that is there. */
async function useEbs(options: Omit<EbsFakeOptions, "ec2">): Promise<void> {
  await ebs.close();
  ebs = await startEbsFake({ ec2, ...options });
}

async function publish(...more: string[]): Promise<{ code: number; out: string; err: string }> {
  const { terminal, said } = createTestTerminal({ onStop: (call) => void (stop = call) });
  const where = ["--region", ec2.region, "--endpoint", ec2.url, "--ebs-endpoint", ebs.url];
  const code = await createProgram(terminal, ["image", "publish", path, ...where, ...more]);
  return { code, ...said() };
}

describe("mayfly image publish", () => {
  it("makes an AMI of the disk, encrypted, without the blocks of zeroes", async () => {
    const { code, out } = await publish("--name", "blue", "--json");
    expect(code).toBe(0);
    const [image] = ec2.state.images();
    expect(JSON.parse(out)).toEqual({ image: image?.id, snapshot: image?.snapshot, digest, region: ec2.region });
    expect(image).toMatchObject({
      bootMode: "uefi",
      imdsSupport: "v2.0",
      ena: true,
      volumeType: "gp3",
      deleteOnTermination: true,
      tags: { "mayfly:image": "blue", "mayfly:image-digest": digest },
    });
    const snapshot = ec2.snapshots.get(image?.snapshot ?? "");
    expect(snapshot).toMatchObject({ state: "completed", encrypted: true, sizeGib: 1 });
    expect(snapshot?.tags).toEqual(image?.tags);
    expect([...(snapshot?.blocks.keys() ?? [])].toSorted((left, right) => left - right)).toEqual([0, 1, 4, 5]);
    expect(snapshot?.blocks.get(5)?.toString("hex")).toBe(sumOf(Buffer.from("the end")));
    expect([...ec2.violations, ...ebs.violations]).toEqual([]);
  });

  it("finds the same AMI when it is repeated", async () => {
    const first = await publish();
    const second = await publish();
    expect(second.out).toBe(first.out);
    expect(ec2.state.images()).toHaveLength(1);
    expect(ebs.calls["StartSnapshot"]).toBe(1);
  });

  it("registers nothing when it is stopped, and finishes the same snapshot the next time", async () => {
    let stops = true;
    await useEbs({ onBlock: (index) => (stops && index >= 4 ? stop() : undefined) });
    const stopped = await publish();
    expect(stopped.code).toBe(130);
    expect(stopped.err).toContain("nothing is registered");
    expect(ec2.state.images()).toEqual([]);
    const [begun] = ec2.snapshots.keys();

    stops = false;
    expect((await publish()).code).toBe(0);
    expect(ec2.state.images()[0]?.snapshot).toBe(begun);
    expect(ec2.snapshots.size).toBe(1);
  });

  it("goes on with a snapshot that was written before and is stored only now", async () => {
    await useEbs({ staysPending: true, onComplete: () => stop(), onLateBlock: (id) => ebs.store(id) });
    expect((await publish()).code).toBe(130);
    const [written = ""] = ec2.snapshots.keys();
    expect([ec2.snapshots.get(written)?.state, ec2.state.images()]).toEqual(["pending", []]);

    const { code, out } = await publish();
    expect(code).toBe(0);
    expect(out).toContain(written);
    expect(ec2.snapshots.size).toBe(1);
  });

  it("begins another snapshot when EBS gave up the one before", async () => {
    let isFirst = true;
    await useEbs({
      onBlock() {
        if (isFirst) {
          isFirst = false;
          ebs.giveUp([...ec2.snapshots.keys()][0] ?? "");
        }
      },
    });
    const { code } = await publish();
    expect(code).toBe(0);
    expect([...ec2.snapshots.values()].map(({ state }) => state)).toEqual(["error", "completed"]);
  });

  it("waits for a snapshot that EBS does not know at once", async () => {
    await useEbs({ unknownFor: () => 2 });
    expect((await publish()).code).toBe(0);
    expect([...ec2.snapshots.values()]).toMatchObject([{ state: "completed" }]);
    expect(ec2.snapshots.values().next().value?.blocks.size).toBe(4);
    expect(ebs.calls["StartSnapshot"]).toBe(1);
  });

  it("finds its image and its snapshot on a later page", async () => {
    const others = Array.from({ length: 7 }, (_none, index) => join(folder, `other-${index}.raw`));
    const mine = path;
    for (const [index, other] of others.entries()) {
      await writeFile(other, filled(1, index + 20));
      path = other;
      await publish();
    }
    path = mine;
    const first = await publish();
    const begun = ebs.calls["StartSnapshot"];
    await ec2.close();
    // The same account, in pages of one.
    const { snapshots } = ec2;
    ec2 = await startEc2Fake({ pageMax: 1 });
    for (const [id, snapshot] of snapshots) {
      ec2.snapshots.set(id, snapshot);
    }
    await useEbs({});
    expect((await publish()).out.split("\n")[1]).toBe(first.out.split("\n")[1]);
    expect([begun, ebs.calls["StartSnapshot"]]).toEqual([8, undefined]);
    const again = await publish();
    expect(ec2.state.images()).toHaveLength(1);
    expect(again.err).toContain("published already");
  });

  it("makes no image of a file that changed while it was written", async () => {
    await useEbs({ onBlock: (index) => (index === 4 ? writeFileSync(path, filled(6, 9)) : undefined) });
    await expect(publish()).rejects.toThrow(/changed while it was read/);
    expect(ec2.state.images()).toEqual([]);
    expect(ebs.calls["CompleteSnapshot"]).toBeUndefined();
  });

  it("makes another image of the same disk for another key", async () => {
    const key = (digit: string) =>
      `arn:aws:kms:${ec2.region}:123456789012:key/${digit.repeat(8)}-1111-2222-3333-444444444444`;
    const published = [await publish(), await publish("--kms-key", key("a")), await publish("--kms-key", key("b"))];
    expect(new Set(published.map(({ out }) => out.split("\n")[0])).size).toBe(3);
    expect([...ec2.snapshots.values()].map(({ kmsKey }) => kmsKey)).toEqual([null, key("a"), key("b")]);
    expect((await publish("--kms-key", key("a"))).out).toBe(published[1]?.out);
  });

  it.each([
    ["alias/mayfly", /an alias/],
    ["12345678-1111-2222-3333-444444444444", /ARN of a key/],
    ["arn:aws:kms:us-east-1:123456789012:alias/mayfly", /an alias/],
    ["arn:aws:kms:eu-north-1:123456789012:key/12345678-1111-2222-3333-444444444444", /us-east-1/],
  ])("refuses the key %s before anything is read", async (key, said) => {
    path = join(folder, "absent.raw");
    await expect(publish("--kms-key", key)).rejects.toThrow(said);
    expect(ec2.calls).toEqual([]);
  });

  it("takes a throttled call and a lost answer for what they are", { timeout: 120_000 }, async () => {
    await useEbs({ throttled: 0.2, lostReplies: 0.15, seed: 5 });
    const { code } = await publish();
    expect(code).toBe(0);
    expect(ec2.snapshots.size).toBe(1);
    expect(ec2.state.images()).toHaveLength(1);
  });

  it("names the right that is missing", async () => {
    await ec2.close();
    ec2 = await startEc2Fake({ authorize: ({ action }) => action !== "RegisterImage" });
    await useEbs({});
    await expect(publish()).rejects.toThrow(/EC2 does not register the image: UnauthorizedOperation/);
  });

  it("refuses a file that is no disk", async () => {
    await writeFile(path, "");
    await expect(publish()).rejects.toMatchObject({ code: "INPUT_INVALID" });
    path = join(folder, "absent.raw");
    await expect(publish()).rejects.toThrow(/cannot be read/);
  });
});

function filled(blocks: number, byte: number): Buffer {
  return Buffer.alloc(blocks * BLOCK, byte);
}

function sumOf(end: Buffer): string {
  const block = Buffer.alloc(BLOCK);
  end.copy(block);
  return createHash("sha256").update(block).digest("hex");
}
