import type { Ec2Fake } from "../../../fakes/ec2/server.ts";
import { stall } from "../../../fakes/model/script.ts";
import { eventually, processesNaming } from "../../../support/service.ts";
import type { Row } from "../../row.ts";
import { RUN_MS, startRun } from "../../scene.ts";
import { createTally } from "../../tally.ts";
import { survivors } from "./survivors.ts";
import { machineWorld } from "./world.ts";

const PROMPT = "Work until the service on EC2 is killed.";
/** EC2's listing is believed a minute after a launch at the earliest, and a machine is not gone before. */
const GONE_MS = RUN_MS + 60_000;

/** An instance that has stopped answering ends by nobody but the service, which is another by then. */
export const survivorsOnEc2: Row = {
  ...survivors,
  control: "an instance with its disk, its network interface and its guest is found before the blow",
  async run(context) {
    const tally = createTally();
    const { world, answer, ec2 } = await machineWorld(context, "ec2");
    if (ec2 === null) {
      throw new Error("there is no EC2");
    }
    answer(new RegExp(PROMPT), () => stall());
    const before = new Set(ec2.state.instances().map(({ id }) => id));
    const { id } = await startRun(world, { prompt: PROMPT });
    await eventually(
      async () => {
        const { run } = await world.control.view(id);
        return run.phase === "running" && run.modelCalls > 0 ? run : null;
      },
      GONE_MS,
      async () => `the instance did not come to work: ${world.service().log().slice(-1_000)}`,
    );
    const instances = ec2.state.instances().filter((one) => !before.has(one.id));
    tally.control((await guestsOf(instances)).length > 0, "there is no guest");
    tally.control(
      Object.values(ec2.state.left()).every((count) => count > 0),
      "not all of the instance is found",
    );

    // It neither works nor ends from now on.
    for (const pid of await guestsOf(instances)) {
      process.kill(pid, "SIGSTOP");
    }
    await world.service().kill();
    await world.restart();
    await world.control.cancel(id);
    const { run: ended } = await world.control.waitFor(id, ({ receipt }) => receipt !== null, GONE_MS);
    tally.equal(ended.gone.length, ended.epoch, "machines proved gone");
    tally.equal(ec2.state.left(), { instances: 0, volumes: 0, interfaces: 0 }, "what is left at EC2");
    tally.equal(await guestsOf(instances), [], "guests that still run");
    tally.equal(ec2.violations, [], "calls that EC2 objected to");
    return tally.verdict("an instance that had stopped answering was ended by the next service");
  },
};

async function guestsOf(instances: ReturnType<Ec2Fake["state"]["instances"]>): Promise<number[]> {
  return (await Promise.all(instances.map(({ id }) => processesNaming(id)))).flat();
}
