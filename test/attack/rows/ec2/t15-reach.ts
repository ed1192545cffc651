import type { Row } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import { networkOfTheMachine } from "../machine/ways-out.ts";
import { type Template, tryTemplate, withEc2 } from "./templates.ts";

type Card = NonNullable<Template["NetworkInterfaces"]>[number];

function card(template: Template, more: Partial<Card>): Template {
  return { ...template, NetworkInterfaces: [{ ...template.NetworkInterfaces?.[0], ...more }] };
}

/** By each of these an instance reaches what a machine must not, or finds a credential there. */
const bends: readonly (readonly [string, (strict: Template) => Template])[] = [
  ["EC2's own default for metadata", ({ MetadataOptions: _off, ...template }) => template],
  ["metadata by a token", (one) => ({ ...one, MetadataOptions: { HttpEndpoint: "enabled", HttpTokens: "required" } })],
  [
    "metadata of version 6",
    (one) => ({ ...one, MetadataOptions: { HttpEndpoint: "enabled", HttpProtocolIpv6: "enabled" } }),
  ],
  ["a role", (one) => ({ ...one, IamInstanceProfile: { Name: "admin" } })],
  ["user data", (one) => ({ ...one, UserData: Buffer.from("token").toString("base64") })],
  ["a public address", (one) => card(one, { AssociatePublicIpAddress: true })],
  ["the subnet's word on public addresses", (one) => card(one, { AssociatePublicIpAddress: undefined })],
  ["an address of version 6", (one) => card(one, { Ipv6AddressCount: 1 })],
  ["a second address", (one) => card(one, { SecondaryPrivateIpAddressCount: 1 })],
  ["an interface of somebody's", (one) => card(one, { NetworkInterfaceId: "eni-0123456789abcdef0" })],
  ["no security group", (one) => card(one, { Groups: undefined })],
];

/** What a guest of the stand-in cannot show, since there is no EC2 around it: nothing is launched into the reach of it. */
export const reachOnEc2: Row = {
  ...networkOfTheMachine,
  needs: "nothing",
  control: "from the strict launch template an instance is launched",
  async run(context) {
    const tally = createTally();
    await withEc2(context, async (world) => {
      for (const [name, bend] of bends) {
        const said = await tryTemplate(world, bend);
        tally.expect(said !== "launched", `an instance is launched with ${name}`);
      }
      tally.equal(world.fake.state.instances().length, 0, "instances from bent templates");
      await expectSound(tally, world);
    });
    return tally.verdict("nothing is launched in reach of metadata, of a role or of the world");
  },
};

async function expectSound(tally: Tally, world: Parameters<typeof tryTemplate>[0]): Promise<void> {
  const said = await tryTemplate(world, (strict) => strict);
  tally.control(said === "launched", `the strict launch template: ${said}`);
}
