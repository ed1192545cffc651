import {
  lookAtGroups,
  lookAtResolver,
  lookAtRoutes,
} from "../../../../apps/orchestrator/src/fleet/providers/ec2/network-looks.ts";
import { readPlan } from "../../../../apps/orchestrator/src/fleet/providers/ec2/launch-request.ts";
import type { Ec2World } from "../../../contract/provider/ec2-world.ts";
import type { Row } from "../../row.ts";
import { createTally } from "../../tally.ts";
import { namesLookedUp } from "../machine/ways-out.ts";
import { withEc2 } from "./templates.ts";

const BROKER = { cidr: "10.0.1.10/32", port: 8443 };
const WAY = { DestinationCidrBlock: "10.0.1.0/28", VpcPeeringConnectionId: "pcx-0123456789abcdef0" };

type Place = Ec2World["fake"]["place"];

/** By each of these a name, or what is packed into one, leaves EC2: the resolver is filtered by nothing there. */
const bends: readonly (readonly [string, (place: Place) => void])[] = [
  ["a network with EC2's own resolver", ({ vpc }) => void (vpc.dnsSupport = true)],
  ["a group that lets names out", ({ group }) => void (group.egress = [BROKER, { cidr: "0.0.0.0/0", port: 53 }])],
  [
    "a group that lets one name server's out",
    ({ group }) => void (group.egress = [BROKER, { cidr: "10.0.0.2/32", port: 53 }]),
  ],
  [
    "a route to the world",
    ({ routes }) =>
      void (routes.more = [WAY, { DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: "nat-0123456789abcdef0" }]),
  ],
];

/** Whether the account itself resolves nothing, which no guest can show without EC2 around it. */
export const resolverOnEc2: Row = {
  ...namesLookedUp,
  needs: "nothing",
  control: "a network without a resolver, with one way out, is not objected to",
  async run(context) {
    const tally = createTally();
    await withEc2(context, async (world) => {
      const { place } = world.fake;
      const reset = () => {
        place.vpc.dnsSupport = false;
        place.group.egress = [BROKER];
        place.routes.more = [WAY];
      };
      reset();
      tally.control((await objections(world)).length === 0, `a sound network: ${(await objections(world)).join("; ")}`);
      for (const [name, bend] of bends) {
        bend(place);
        tally.expect((await objections(world)).length > 0, `nobody objects to ${name}`);
        reset();
      }
    });
    return tally.verdict("a network on EC2 in which a name could be looked up is objected to");
  },
};

async function objections(world: Ec2World): Promise<string[]> {
  const launch = world.intend(1);
  const options = {
    ec2: world.ec2,
    config: world.config,
    launch: { ...launch, plan: readPlan(launch.plan) },
    brokers: ["10.0.1.10:8443"],
    trialFleet: null,
    pause: world.pass,
    clock: { now: world.now },
    now: world.now,
    onCheck: () => undefined,
  };
  const { vpc, group } = world.fake.place;
  const looks = [
    await lookAtResolver(options, [vpc.id]),
    await lookAtRoutes(options, [vpc.id]),
    await lookAtGroups(options, [group.id]),
  ];
  return looks.flatMap(({ slips = [] }) => slips.map(({ seen }) => seen));
}
