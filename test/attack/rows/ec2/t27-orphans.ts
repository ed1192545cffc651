import { createTally } from "../../tally.ts";
import { sweepFleet } from "../../../../apps/orchestrator/src/fleet/providers/ec2/sweep.ts";
import { fleet } from "../../../contract/provider/ec2-world.ts";
import type { Row } from "../../row.ts";
import { survivors } from "../machine/survivors.ts";
import { withEc2 } from "./templates.ts";

const MACHINES = 5;
const LIFE_MS = 60 * 60_000;
/** What the service has to end a machine by itself before a sweep does. */
const GRACE_MS = 10 * 60_000;
const NOTHING = { instances: 0, volumes: 0, interfaces: 0 };

/** The service never comes back, its store is gone, and its machines do not end by themselves. */
export const orphansOnEc2: Row = {
  ...survivors,
  needs: "nothing",
  control: "instances are there until a sweep, and are left alone before their deadline",
  async run(context) {
    const tally = createTally();
    await withEc2(context, async (world) => {
      const { ec2, fake } = world;
      const sweep = () => sweepFleet({ ec2, fleet, now: world.now(), pause: world.pass });
      // Every second one leaves its disk and its interface behind.
      fake.setChaos({ leaks: 0.5 });
      const { machines } = await world.provider.ensureLaunched(world.intend(MACHINES, LIFE_MS));
      await world.pass(LIFE_MS - 1);
      const early = await sweep();
      tally.control(early.removed.length === 0, `before the deadline a sweep removed ${early.removed.join(", ")}`);
      tally.control(fake.state.left().instances === MACHINES, `${fake.state.left().instances} instances were there`);
      await world.pass(GRACE_MS + 1);
      for (let round = 0; round < 3; round++) {
        await sweep();
        await world.pass(60_000);
      }
      tally.equal(fake.state.left(), NOTHING, `what is left of ${machines.length} orphans`);
    });
    return tally.verdict("orphans on EC2 were ended by their tags alone");
  },
};
