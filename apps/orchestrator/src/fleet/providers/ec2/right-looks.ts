import {
  CreateFleetCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import type { LooksOptions } from "./account-look.ts";
import { bounded, saidBy } from "./ec2-client.ts";
import { codeOf } from "./ec2-faults.ts";
import { requestOf } from "./launch-request.ts";

/** What a dry run showed; `refusal` is EC2's code, null where it would have been allowed. */
interface Tried {
  readonly seen: string;
  readonly refusal: string | null;
}

/** Limit: what EC2 answers to a dry run that is allowed. */
const ALLOWED = "DryRunOperation";

/**
 * Asks for the fleet request as the service makes it, which shows the right to that call alone, and for one machine of
 * the template with its tags, which shows the rights that a fleet request uses in its maker's name. Neither shows
 * capacity or quotas.
 */
export async function tryLaunch({ ec2, launch }: LooksOptions, groups: readonly string[]): Promise<Tried> {
  const fleet = { ...requestOf(launch, launch.plan), DryRun: true };
  const asked = await dryRun("launch", () => ec2.send(new CreateFleetCommand(fleet), bounded()));
  if (asked.refusal !== null) {
    return asked;
  }
  const made = await dryRun("launch from the template", () =>
    ec2.send(new RunInstancesCommand({ ...machineOf(launch, groups), DryRun: true }), bounded()),
  );
  return made.refusal === null ? { seen: "a fleet and a machine of the template are allowed", refusal: null } : made;
}

/** Asks to end this machine: a right that hangs on a thing's tags can be asked for only where there is such a thing. */
export async function tryEnd({ ec2 }: LooksOptions, id: string | null): Promise<Tried> {
  return id === null
    ? { seen: "no machine to ask about: a real one shows it", refusal: null }
    : dryRun("end machines", () =>
        ec2.send(new TerminateInstancesCommand({ InstanceIds: [id], DryRun: true }), bounded()),
      );
}

/** One machine as a fleet request would have it: EC2 takes no subnet beside a template's network interface. */
function machineOf(launch: LooksOptions["launch"], groups: readonly string[]): RunInstancesCommandInput {
  const { template, offerings } = launch.plan;
  const [offering] = offerings;
  const kinds = requestOf(launch, launch.plan).TagSpecifications ?? [];
  return {
    MinCount: 1,
    MaxCount: 1,
    LaunchTemplate: { LaunchTemplateId: template.id, Version: template.version },
    InstanceType: offering?.type as never,
    NetworkInterfaces: [
      {
        DeviceIndex: 0,
        SubnetId: offering?.subnet,
        Groups: [...groups],
        AssociatePublicIpAddress: false,
        DeleteOnTermination: true,
      },
    ],
    TagSpecifications: kinds.filter(({ ResourceType: kind }) => kind !== "fleet"),
  };
}

async function dryRun(what: string, send: () => Promise<unknown>): Promise<Tried> {
  try {
    await send();
  } catch (error) {
    const code = codeOf(error);
    return code === ALLOWED
      ? { seen: "allowed", refusal: null }
      : { seen: `EC2 would not let us ${what}: ${saidBy(error)}`, refusal: code };
  }
  // EC2 never answers so; if it did it has done it, and the sweep finds what was launched by its tags.
  return { seen: `the dry run to ${what} was carried out: mayfly fleet sweep`, refusal: "DryRunCarriedOut" };
}
