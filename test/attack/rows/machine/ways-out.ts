import type { AttackContext, Row, Verdict } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import { battery, type Battery, type Place } from "./battery.ts";
import type { Who } from "./planted.ts";
import type { Report } from "./report.ts";
import { machineWorld } from "./world.ts";

/** Root first: it can do more, so that a hole shows at the first. */
const everyone: readonly Who[] = ["root", "codex"];

export const networkOfTheMachine: Row = {
  id: "T15",
  attack:
    "The machine reaches for metadata services, the host, its neighbours and the world, by every protocol, as root too.",
  needs: "machine",
  control: "the host's listeners hear a call from the host; the one way that is open is found open",
  async run(context) {
    const tally = createTally();
    for (const who of everyone) {
      await tryNetwork(tally, await battery(context, who));
      if (tally.isBroken) {
        break;
      }
    }
    return tally.verdict("nothing answered but the broker, and the host's listeners heard nobody");
  },
};

/** Every way out, of Codex and of root in the agent's own network. */
export async function tryNetwork(tally: Tally, { report, listeners, broker }: Battery): Promise<void> {
  expectSilence(tally, report.network, broker, "in Codex's network");
  tally.control(report.network.control === "connected", `the relay: ${report.network.control}`);
  tally.expect(report.network.channel !== "connected", "the broker can be reached past the relay");
  const { networkOfAgent } = report;
  if (networkOfAgent !== null) {
    expectSilence(tally, networkOfAgent, broker, "in the agent's network");
    tally.control(networkOfAgent.channel === "connected", `the broker as root: ${networkOfAgent.channel}`);
    const sent = Object.values(networkOfAgent.raw).filter((code) => code === 0).length;
    tally.control(sent > 2, `${sent} packets made by hand were sent`);
  } else {
    const sent = Object.entries(report.network.raw).filter(([, code]) => code === 0);
    tally.equal(sent, [], "packets made by hand that were sent");
  }
  tally.equal(listeners.heard, [], "who called on the host");
  tally.control(await listeners.callFromHost(), "a call from the host itself was not heard");
}

function expectSilence(tally: Tally, network: Report["network"], broker: string, where: string): void {
  const beyond = network.reached.filter((address) => address !== broker && address !== "127.0.0.1:8080");
  tally.equal(beyond, [], `addresses reached ${where}`);
  tally.equal(network.answered, [], `datagrams answered ${where}`);
  tally.control(network.tried > 50, `${network.tried} addresses were tried ${where}`);
}

/** The same of an instance that came in through the broker's door: there the door is the one address. */
export const networkOnEc2: Row = {
  ...networkOfTheMachine,
  control: "in an instance the broker's door, and nothing beside it, is found open",
  async run(context) {
    const tally = createTally();
    for (const who of whoOnEc2(context)) {
      await tryNetwork(tally, await battery(context, who, "ec2"));
    }
    await expectEc2Empty(tally, context);
    return tally.verdict("in an instance nothing answered but the broker's door");
  },
};

/** Codex can do nothing there that root cannot, and each costs a boot. */
function whoOnEc2(context: AttackContext): readonly Who[] {
  return everyone.slice(0, context.cases(everyone.length, 1));
}

async function expectEc2Empty(tally: Tally, context: AttackContext): Promise<void> {
  const { ec2 } = await machineWorld(context, "ec2");
  tally.control((ec2?.state.instances().length ?? 0) > 0, "no instance was ever made");
  tally.equal(ec2?.state.left(), { instances: 0, volumes: 0, interfaces: 0 }, "what is left at EC2");
  tally.equal(ec2?.violations, [], "calls that EC2 objected to");
}

export const namesLookedUp: Row = {
  id: "T16",
  attack: "Data leaves by names that are looked up: DNS over UDP, TCP and TLS, multicast, the system's own resolver.",
  needs: "machine",
  control: "the host's listeners hear a call from the host; the broker's address does connect",
  run: (context) => tryNames(context, "host", everyone),
};

export const namesOnEc2: Row = {
  ...namesLookedUp,
  control: "from an instance the broker's door does connect",
  run: (context) => tryNames(context, "ec2", whoOnEc2(context)),
};

async function tryNames(context: AttackContext, place: Place, all: readonly Who[]): Promise<Verdict> {
  const tally = createTally();
  for (const who of all) {
    const { report, listeners } = await battery(context, who, place);
    for (const names of [report.names, report.namesOfAgent]) {
      if (names !== null) {
        tally.equal(names.answered, [], "ways to look up a name that were answered");
        tally.equal(names.resolvers, [], "name servers that the machine knows");
        tally.expect(names.system.startsWith("E"), `the system's resolver said ${names.system}`);
        tally.control(names.tried > 20, `${names.tried} ways were tried`);
      }
    }
    tally.equal(listeners.heard, [], "who called on the host");
    tally.control(await listeners.callFromHost(), "a call from the host itself was not heard");
    if (tally.isBroken) {
      break;
    }
  }
  const { networkOfAgent } = (await battery(context, "root", place)).report;
  tally.control(networkOfAgent?.channel === "connected", `the broker as root: ${networkOfAgent?.channel}`);
  return tally.verdict(`no name was answered${place === "ec2" ? " in an instance" : ", as codex or as root"}`);
}
