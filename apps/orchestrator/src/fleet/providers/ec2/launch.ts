import { CreateFleetCommand, type CreateFleetCommandOutput, type EC2Client } from "@aws-sdk/client-ec2";
import { AppError, type Clock, type Launch, type Launched, type MachineId, type Shortfall } from "@mayfly/core";
import type { Logger } from "pino";
import type { RequestBucket } from "../../../store/request-bucket.ts";
import { listingLagMs } from "./absence.ts";
import type { Capacity } from "./capacity.ts";
import type { SeenInstance } from "./describe.ts";
import { bounded, inOneLine, type Pause, saidBy } from "./ec2-client.ts";
import { capacityScope, codeOf, faultOf, faultOfCode } from "./ec2-faults.ts";
import { type Ec2Plan, readPlan, requestOf } from "./launch-request.ts";
import { machineIdOf } from "./machine-id.ts";
import type { SharedReading } from "./shared-reading.ts";

/** The same request is made this often here; whoever asked for the launch asks again later. */
const TRIES_MAX = 3;
const RETRY_MS = 1_000;
/** How long a launch waits here for its turn; the bucket refills much faster unless EC2 made it pause. */
const TURN_MS_MAX = 10_000;
/** So many reasons fit in a line. */
const REASONS_MAX = 3;

export interface LaunchDeps {
  readonly ec2: EC2Client;
  readonly clock: Clock;
  readonly pause: Pause;
  readonly log: Logger;
  readonly capacity: Capacity;
  readonly bucket: RequestBucket;
  readonly instances: SharedReading<readonly SeenInstance[]>;
}

/**
 * Makes a launch's machines. A lack of capacity is an answer; so is a part of what was asked for. Throws
 * MACHINE_LAUNCH_FAILED when EC2 refuses the request, PROVIDER_UNAVAILABLE when nobody knows what came of it.
 */
export async function launchMachines(deps: LaunchDeps, launch: Launch): Promise<Launched> {
  const plan = readPlan(launch.plan);
  if (deps.clock.now() >= launch.deadline) {
    throw new AppError("MACHINE_LAUNCH_FAILED", `the deadline of launch ${launch.id} has passed`);
  }
  const command = new CreateFleetCommand(requestOf(launch, plan));
  for (let tries = 1; ; tries++) {
    await takeTurn(deps);
    try {
      const answer = await deps.ec2.send(command, bounded());
      await deps.bucket.noteAccepted();
      return await interpret(deps, { launch, plan, answer });
    } catch (error) {
      const launched = await interpretFault(deps, { launch, plan, error, isLast: tries >= TRIES_MAX });
      if (launched !== null) {
        return launched;
      }
      await deps.pause(RETRY_MS * tries);
    }
  }
}

/** Said once for each pause, however many launches wait for its end. */
async function noteThrottled({ bucket, clock, log }: LaunchDeps): Promise<void> {
  if (await bucket.noteThrottled()) {
    log.warn({ ms: bucket.pausedUntil() - clock.now() }, "EC2 asked for fewer launches: none goes out for so long");
  }
}

async function takeTurn({ bucket, clock, pause }: LaunchDeps): Promise<void> {
  const giveUpAt = clock.now() + TURN_MS_MAX;
  for (;;) {
    const turn = await bucket.take();
    if (turn.taken) {
      return;
    }
    if (turn.until > giveUpAt) {
      throw new AppError("PROVIDER_UNAVAILABLE", "EC2 asked for fewer launches; this one waits");
    }
    await pause(turn.until - clock.now());
  }
}

/** Null when the same request may be made again at once. */
async function interpretFault(
  deps: LaunchDeps,
  failed: { launch: Launch; plan: Ec2Plan; error: unknown; isLast: boolean },
): Promise<Launched | null> {
  const { launch, plan, error, isLast } = failed;
  if (error instanceof AppError) {
    throw error;
  }
  const fault = faultOf(error);
  switch (fault) {
    case "throttled":
      await noteThrottled(deps);
      throw new AppError("PROVIDER_UNAVAILABLE", "EC2 asked for fewer launches; this one waits", { cause: error });
    case "unknown":
      if (isLast) {
        throw new AppError("PROVIDER_UNAVAILABLE", `EC2 did not say what came of a launch: ${saidBy(error)}`, {
          cause: error,
        });
      }
      return null;
    case "mismatch":
      return adopt(deps, launch, error);
    case "capacity": {
      const scope = capacityScope(codeOf(error)) ?? "purchase";
      deps.capacity.noteLacking({ purchase: plan.purchase, offering: null, scope, now: deps.clock.now() });
      return { machines: [], missing: [{ count: launch.count, reason: lackInWords({ code: codeOf(error), plan }) }] };
    }
    case "missing":
    case "refused":
      throw new AppError("MACHINE_LAUNCH_FAILED", `EC2 refused the launch: ${saidBy(error)}`, { cause: error });
    default:
      return fault satisfies never;
  }
}

/**
 * The token stands for another request: this launch was made by a program that asked in other words. What its tags show
 * is all there is to know of it.
 */
async function adopt(deps: LaunchDeps, launch: Launch, cause: unknown): Promise<Launched> {
  // Whatever it made was made before now, and EC2 may not list it yet.
  await deps.pause(listingLagMs);
  const { value } = await deps.instances.after(deps.clock.now());
  // Those that ended meanwhile too: they were launched, and what they had must be looked for.
  const machines = value.filter((seen) => seen.launch === launch.id).map(({ machine }) => machine);
  if (machines.length === 0) {
    throw new AppError("MACHINE_LAUNCH_FAILED", "EC2 knows the launch as another request, and lists no machine of it", {
      cause,
    });
  }
  return counted(launch, machines, ["EC2 knows the launch as another request"]);
}

async function interpret(
  deps: LaunchDeps,
  made: { launch: Launch; plan: Ec2Plan; answer: CreateFleetCommandOutput },
): Promise<Launched> {
  const { capacity, clock } = deps;
  const { launch, plan, answer } = made;
  const ids = (answer.Instances ?? []).flatMap(({ InstanceIds }) => InstanceIds ?? []);
  const machines = ids.map(machineIdOf).filter((id) => id !== null);
  const errors = answer.Errors ?? [];
  const reasons: string[] = [];
  let refusal: string | null = null;
  let isLacking = false;
  for (const { ErrorCode: code = "", ErrorMessage: message = "", LaunchTemplateAndOverrides } of errors) {
    const {
      SubnetId: subnet,
      InstanceType: type,
      AvailabilityZone: zone,
    } = LaunchTemplateAndOverrides?.Overrides ?? {};
    const offering = subnet === undefined || type === undefined ? null : { subnet, type };
    const scope = capacityScope(code);
    if (scope !== null) {
      capacity.noteLacking({ purchase: plan.purchase, offering, scope, now: clock.now() });
      isLacking = true;
    } else if (faultOfCode(code) === "throttled") {
      await noteThrottled(deps);
    } else {
      // Whatever EC2 has against this one, it must not keep the others and the other purchase from being tried.
      capacity.noteLacking({ purchase: plan.purchase, offering, scope: "offering", now: clock.now() });
      refusal ??= inOneLine(`${code}: ${message}`);
    }
    reasons.push(lackInWords({ code, plan, ...(type === undefined ? {} : { type }), place: zone ?? subnet }));
  }
  if (machines.length === 0 && refusal !== null && !isLacking) {
    throw new AppError("MACHINE_LAUNCH_FAILED", `EC2 refused the launch: ${refusal}`);
  }
  if (machines.length === 0 && errors.length === 0) {
    // Without this the same would be asked again at once, and for ever.
    capacity.noteLacking({ purchase: plan.purchase, offering: null, scope: "purchase", now: clock.now() });
  }
  return counted(launch, machines, reasons);
}

/** Machines and shortfalls that together are the launch's count. What EC2 gave beyond it is nobody's, and destroyed. */
function counted(launch: Launch, made: readonly MachineId[], reasons: readonly string[]): Launched {
  const machines = made.slice(0, launch.count);
  const count = launch.count - machines.length;
  return { machines, missing: count === 0 ? [] : [{ count, reason: joined(reasons) } satisfies Shortfall] };
}

function joined(reasons: readonly string[]): string {
  const distinct = [...new Set(reasons)];
  if (distinct.length === 0) {
    return "EC2 gave fewer and did not say why";
  }
  const more = distinct.length - REASONS_MAX;
  return `${distinct.slice(0, REASONS_MAX).join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

function lackInWords(lack: { code: string; plan: Ec2Plan; type?: string; place?: string | undefined }): string {
  const { code, plan, type = "any instance type", place = "any zone" } = lack;
  switch (capacityScope(code)) {
    case "offering":
      return isNotOffered(code)
        ? `${type} is not offered in ${place} (${code})`
        : `no capacity for ${type} (${plan.purchase}) in ${place}`;
    case "subnet":
      return `no free address in ${place}`;
    case "purchase":
      return `the AWS account may have no more ${plan.purchase} machines now (${code})`;
    default:
      return `EC2 refused ${type} (${plan.purchase}) in ${place} (${inOneLine(code)})`;
  }
}

function isNotOffered(code: string): boolean {
  return code.startsWith("Unsupported") || code === "InvalidFleetConfiguration";
}
