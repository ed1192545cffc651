import type { Row } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import { battery, type Battery } from "./battery.ts";
import type { Who } from "./planted.ts";
import type { Report } from "./report.ts";

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
export async function tryNetwork(tally: Tally, { report, listeners }: Battery): Promise<void> {
  expectSilence(tally, report.network, "in Codex's network");
  tally.control(report.network.control === "connected", `the relay: ${report.network.control}`);
  tally.expect(report.network.channel !== "connected", "the broker can be reached past the relay");
  const { networkOfAgent } = report;
  if (networkOfAgent !== null) {
    expectSilence(tally, networkOfAgent, "in the agent's network");
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

function expectSilence(tally: Tally, network: Report["network"], where: string): void {
  const beyond = network.reached.filter((address) => address !== "10.0.2.2:8080" && address !== "127.0.0.1:8080");
  tally.equal(beyond, [], `addresses reached ${where}`);
  tally.equal(network.answered, [], `datagrams answered ${where}`);
  tally.control(network.tried > 50, `${network.tried} addresses were tried ${where}`);
}

export const namesLookedUp: Row = {
  id: "T16",
  attack: "Data leaves by names that are looked up: DNS over UDP, TCP and TLS, multicast, the system's own resolver.",
  needs: "machine",
  control: "the host's listeners hear a call from the host; the broker's address does connect",
  async run(context) {
    const tally = createTally();
    for (const who of everyone) {
      const { report, listeners } = await battery(context, who);
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
    const { networkOfAgent } = (await battery(context, "root")).report;
    tally.control(networkOfAgent?.channel === "connected", `the broker as root: ${networkOfAgent?.channel}`);
    return tally.verdict("no name was answered, as codex or as root");
  },
};
