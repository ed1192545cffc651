import { strict as assert } from "node:assert";
import { assertNever } from "@mayfly/core";
import type { Account } from "../host/account.ts";
import { becomeAccount } from "../host/account.ts";
import { preloadLateModules } from "../host/preload.ts";
import { probeMachines, type ProbeSettings } from "../cli/doctor/probe-machines.ts";
import type { Terminal } from "../cli/terminal.ts";
import { goWaysToCredentials } from "./aws-credentials.ts";
import { runBroker } from "./broker.ts";
import { readHandover } from "./handover.ts";
import { runLocalService } from "./local.ts";
import { loadEc2 } from "./machine-host.ts";
import { runService, type ServiceHooks } from "./service.ts";
import type { BrokerSettings, LocalSettings, ServiceSettings, SignerSettings } from "./settings.ts";
import { loadKey, type LoadedKey, runSigner } from "./signer.ts";
import { type Part, READY_FOR_OTHERS } from "./supervise.ts";

const noHooks: ServiceHooks = { debugDump: false, onMachines: () => undefined };

/**
 * One process of a service, started by its supervisor with its settings on standard input; or what `mayfly doctor` of root
 * tries as the service's user.
 *
 * @returns Its exit code. Throws what it cannot do without.
 */
export async function runProcess(terminal: Terminal, name: Part["name"] | "doctor", hooks = noHooks): Promise<number> {
  switch (name) {
    case "service": {
      const settings = await begin<ServiceSettings>(terminal, preloadEc2);
      return runService(terminal, settings, () => terminal.tellParent(READY_FOR_OTHERS), hooks);
    }
    case "local": {
      const settings = await begin<LocalSettings>(terminal);
      return runLocalService(terminal, settings, () => terminal.tellParent(READY_FOR_OTHERS));
    }
    case "broker":
      return runBroker(terminal, await begin<BrokerSettings>(terminal));
    case "signer": {
      let loaded: LoadedKey | null = null;
      const settings = await begin<SignerSettings>(terminal, async ({ key }) => {
        loaded = await loadKey(key);
      });
      assert(loaded !== null, "loaded before root is dropped");
      return runSigner(terminal, settings, loaded);
    }
    case "doctor":
      terminal.stdout(JSON.stringify(await probeMachines(await begin<ProbeSettings>(terminal))));
      return 0;
    default:
      return assertNever(name);
  }
}

/** Loads what machines on EC2 need, where this host makes any. */
async function preloadEc2({ config, aws }: ServiceSettings): Promise<void> {
  if (config.fleet.provider !== "ec2" || !config.roles.includes("worker")) {
    return;
  }
  const [{ createEc2Client }] = await loadEc2();
  if (aws !== null || config.fleet.ec2 === null) {
    return;
  }
  const { region, endpoint } = config.fleet.ec2;
  await goWaysToCredentials(createEc2Client({ region, endpoint }));
}

/** Takes the settings and becomes its account, once all code is loaded: root's own folders are closed to any other. */
async function begin<Settings>(
  terminal: Terminal,
  load: (settings: Settings) => Promise<void> = async () => undefined,
): Promise<Settings> {
  const { account, settings } = await readHandover<Settings>(terminal.stdin());
  // What is for others is opened by name; a stricter one of whoever started us would close that too.
  process.umask(0o022);
  await preloadLateModules();
  await load(settings);
  become(account);
  return settings;
}

function become(account: Account | null): void {
  if (account !== null) {
    becomeAccount(account);
  }
}
