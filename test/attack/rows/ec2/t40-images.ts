import type { Digest } from "@mayfly/core";
import type { Row } from "../../row.ts";
import { createTally } from "../../tally.ts";
import { supplyChain } from "../t40-supply-chain.ts";
import { type Template, tryTemplate, withEc2 } from "./templates.ts";

const OTHER = `sha256:${"9".repeat(64)}` as Digest;

const bends: readonly (readonly [string, (strict: Template) => Template])[] = [
  ["a disk from a snapshot of its own", (one) => disk(one, { SnapshotId: "snap-0123456789abcdef0" })],
  [
    "a second disk",
    (one) => ({
      ...one,
      BlockDeviceMappings: [
        ...(one.BlockDeviceMappings ?? []),
        { DeviceName: "/dev/sdf", Ebs: { VolumeSize: 8, Encrypted: true, DeleteOnTermination: true } },
      ],
    }),
  ],
];

function disk(template: Template, more: object): Template {
  const [first] = template.BlockDeviceMappings ?? [];
  return { ...template, BlockDeviceMappings: [{ ...first, Ebs: { ...first?.Ebs, ...more } }] };
}

/** An AMI stands where on a host the image's files do: nothing is launched of one that was not made from our image. */
export const imagesOnEc2: Row = {
  ...supplyChain,
  control: "the AMI that was made from the image is launched",
  async run(context) {
    const tally = createTally();
    await withEc2(context, async (world) => {
      const { image } = world.fake.place;
      const { tags, owner } = image;
      for (const [name, bend] of bends) {
        tally.expect((await tryTemplate(world, bend)) !== "launched", `an instance is launched from ${name}`);
      }
      const other = await tryTemplate(world, (strict) => strict, { image: OTHER });
      tally.expect(other !== "launched", "an instance is launched where another image is meant");
      const digest = tags["mayfly:image-digest"] ?? "";
      for (const tag of [OTHER, digest.slice(0, -1), digest.toUpperCase(), ""]) {
        tags["mayfly:image-digest"] = tag;
        const said = await tryTemplate(world, (strict) => strict);
        tally.expect(said !== "launched", `an instance is launched from an AMI made from "${tag}"`);
      }
      delete tags["mayfly:image-digest"];
      tally.expect(
        (await tryTemplate(world, (strict) => strict)) !== "launched",
        "an AMI without a digest is launched",
      );
      tags["mayfly:image-digest"] = digest;
      image.owner = "999999999999";
      tally.expect((await tryTemplate(world, (strict) => strict)) !== "launched", "another account's AMI is launched");
      image.owner = owner;
      tally.equal(world.fake.state.instances().length, 0, "instances from images of others");
      const own = await tryTemplate(world, (strict) => strict);
      tally.control(own === "launched", `the AMI of the image: ${own}`);
    });
    return tally.verdict("no AMI but the image's own is launched");
  },
};
