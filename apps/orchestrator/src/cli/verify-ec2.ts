import { AppError, type Ec2Config, isAppError, toTerminal } from "@mayfly/core";
import type { AccountCheck } from "../fleet/providers/ec2/account-look.ts";
import { lookAtAccount, smallestType } from "../fleet/providers/ec2/account-looks.ts";
import { createEc2Client, systemPause } from "../fleet/providers/ec2/ec2-client.ts";
import { createEc2Provider } from "../fleet/providers/ec2/ec2-provider.ts";
import { trialFleetOf } from "../fleet/providers/ec2/tags.ts";
import { systemClock } from "../host/clock.ts";
import { createLog } from "../host/log.ts";
import { type Trial, tryMachine } from "../process/trial.ts";
import { dryLaunch } from "./dry-launch.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface VerifyEc2Flags {
  readonly config?: string;
  readonly state?: string;
  readonly broker?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/**
 * `mayfly verify-ec2`: looks at everything in the account that machines stand on, then lives through one real small
 * machine. Exit code 0 only if all is as it should be and nothing is left.
 *
 * @param patience How long the machine's end may take; given, so that a test need not wait.
 */
export async function verifyEc2(
  terminal: Terminal,
  flags: VerifyEc2Flags,
  patience: { leaveMs?: number } = {},
): Promise<number> {
  const config = loadSettings(terminal, flags);
  const settings = config.fleet.ec2;
  if (settings === null) {
    throw new AppError(
      "CONFIG_INVALID",
      "fleet.ec2 is not complete: region, launch_template, launch_template_version, image_digest, subnets and instance_types are needed",
    );
  }
  const stopping = new AbortController();
  terminal.onStop(() => stopping.abort());
  const { log } = createLog({ level: terminal.env["MAYFLY_LOG_LEVEL"] === undefined ? "fatal" : config.logLevel });
  const { region, endpoint } = settings;
  const ec2 = createEc2Client({ region, endpoint });
  const began = performance.now();
  const checks: AccountCheck[] = [];
  const tell = (check: AccountCheck): void => {
    checks.push(check);
    if (flags.json !== true) {
      terminal.stdout(linesOf(check));
    }
  };
  try {
    await lookAtAccount({
      ec2,
      config: settings,
      launch: dryLaunch(settings),
      brokers: brokersOf(flags),
      trialFleet: flags.dryRun === true ? null : trialFleetOf(settings.fleet),
      pause: systemPause,
      clock: systemClock,
      now: () => performance.now(),
      onCheck: tell,
    });
    if (flags.dryRun !== true && checks.every(({ ok }) => ok) && !stopping.signal.aborted) {
      const own = await trialSettings(ec2, settings);
      const provider = createEc2Provider({ config: own, ec2, clock: systemClock, log });
      const say = (message: string): void =>
        terminal.stderr(`${seconds(performance.now() - began).padStart(8)}  ${toTerminal(message)}\n`);
      const trialBegan = performance.now();
      const tried = tryMachine({ config, provider, log, say, stopped: stopping.signal, ...patience });
      const made = await tried.then((trial) => checksOf(trial, own, performance.now() - trialBegan), leftOver);
      made.forEach(tell);
    }
    const isGood = checks.every(({ ok }) => ok) && !stopping.signal.aborted;
    finish(terminal, flags, { isGood, settings, checks });
    return isGood ? 0 : 1;
  } finally {
    ec2.destroy();
  }
}

/**
 * A fleet of its own: what a service lists and destroys by is its fleet's name, so neither sees the other's machines. On
 * demand, since nothing is shown by a machine that is taken back.
 */
async function trialSettings(ec2: Parameters<typeof smallestType>[0], settings: Ec2Config): Promise<Ec2Config> {
  const type = await smallestType(ec2, settings.instanceTypes, systemPause);
  return { ...settings, fleet: trialFleetOf(settings.fleet), instanceTypes: [type], spot: false };
}

/** Where machines may go: needs no more form than EC2's rules have. */
function brokersOf({ broker }: VerifyEc2Flags): string[] {
  const names = broker === undefined ? [] : broker.split(",");
  const wrong = names.find((name) => !/^\d{1,3}(?:\.\d{1,3}){3}:\d{1,5}$/.test(name));
  if (wrong !== undefined) {
    throw new AppError("INPUT_INVALID", `--broker: ${wrong} is not an address and a port such as 10.0.1.10:8443`);
  }
  return names;
}

/** A machine that does not go is a check that failed, and no reason to keep the others to ourselves. */
function leftOver(error: unknown): AccountCheck[] {
  if (!isAppError(error, "MACHINE_NOT_GONE")) {
    throw error;
  }
  const fix = "end it as is said above, and look in the console that volume and interface are gone too";
  return [{ name: "gone", ok: false, seen: error.message, fixes: [fix], ms: 0 }];
}

function checksOf(trial: Trial, { fleet, region }: Ec2Config, ms: number): AccountCheck[] {
  const { launched, enrolled, gate, evidence, left, why, console } = trial;
  const failed = gate?.checks.filter(({ ok }) => !ok) ?? [];
  const isGone = !left && launched && evidence.length > 0 && evidence.every(({ absent }) => absent);
  const reason = why ?? "";
  const said = console.trim() === "" ? "" : `; its last words: ${console.trim()}`;
  const sweep = `mayfly fleet sweep --name ${fleet} --region ${region}, after the machine's deadline; or end it by hand`;
  const check = (name: string, ok: boolean, seen: string, fix: string): AccountCheck => ({
    name,
    ok,
    seen,
    fixes: ok ? [] : [fix],
    ms,
  });
  return [
    check(
      "launch",
      launched,
      launched ? trial.machines.join(", ") : reason,
      "read what EC2 said, and the rights of this role",
    ),
    check(
      "enrolment",
      enrolled,
      enrolled ? "it reached the broker, knew its pin and was let in" : `it did not come: ${reason}${said}`,
      "see that the image was built with this broker's addresses and pins, that routes and the security group lead there, and that listen.machines is where they lead",
    ),
    check(
      "nothing else is reachable",
      gate !== null && failed.length === 0,
      gate === null
        ? `it did not get so far: ${reason}`
        : `${gate.checks.length} checks from inside, ${failed.length} failed${failed.map(({ name, seen }) => `; ${name}: ${seen}`).join("")}`,
      "publish an image built from this source: mayfly image build --for ec2",
    ),
    check(
      "gone",
      isGone || (!launched && !left),
      left ? "something of this trial is still listed" : `${evidence.length} things looked for and absent`,
      sweep,
    ),
  ];
}

function linesOf({ name, ok, seen, fixes, ms }: AccountCheck): string {
  const head = `${ok ? "ok    " : "FAILED"}  ${name} (${seconds(ms)}): ${toTerminal(seen)}\n`;
  return head + fixes.map((fix) => `        fix: ${toTerminal(fix)}\n`).join("");
}

function finish(
  terminal: Terminal,
  { json, dryRun }: VerifyEc2Flags,
  { isGood, settings, checks }: { isGood: boolean; settings: Ec2Config; checks: readonly AccountCheck[] },
): void {
  const { fleet, region } = settings;
  if (json === true) {
    terminal.stdout(`${JSON.stringify({ ok: isGood, fleet, region, dryRun: dryRun === true, checks })}\n`);
    return;
  }
  const bad = checks.filter(({ ok }) => !ok).length;
  const end = bad === 0 ? `all ${checks.length} checks passed` : `${bad} of ${checks.length} checks failed`;
  const more = dryRun === true && isGood ? "; no machine was launched" : "";
  terminal.stderr(`${isGood || bad > 0 ? end : "stopped"}${more}\n`);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
