import { CreateLaunchTemplateCommand, type RequestLaunchTemplateData } from "@aws-sdk/client-ec2";
import { type Ec2Config, isAppError } from "@mayfly/core";
import { createEc2Provider } from "../../../../apps/orchestrator/src/fleet/providers/ec2/ec2-provider.ts";
import { createLog } from "../../../../apps/orchestrator/src/host/log.ts";
import { type Ec2World, openEc2World } from "../../../contract/provider/ec2-world.ts";
import { strictTemplate } from "../../../fakes/ec2/testing.ts";
import type { AttackContext } from "../../row.ts";

export type Template = RequestLaunchTemplateData;

/** The real provider before the stand-in for EC2, closed by whoever ends the rows or before. */
export async function withEc2<T>(context: AttackContext, use: (world: Ec2World) => Promise<T>): Promise<T> {
  const world = await openEc2World({ throttle: null });
  const close = context.atEnd(() => world.close());
  try {
    return await use(world);
  } finally {
    await close();
  }
}

/**
 * Whether the real provider launches from this launch template: `launched`, or why not. What it launches goes on living.
 *
 * @param bend Makes the template of a strict one.
 */
export async function tryTemplate(
  world: Ec2World,
  bend: (strict: Template) => Template,
  settings: Partial<Ec2Config> = {},
): Promise<string> {
  const data = bend(strictTemplate(world.fake));
  const request = { LaunchTemplateName: `bent-${world.calls("CreateLaunchTemplate")}`, LaunchTemplateData: data };
  const { LaunchTemplate: made } = await world.ec2.send(new CreateLaunchTemplateCommand(request));
  const provider = createEc2Provider({
    config: { ...world.config, launchTemplate: { id: made?.LaunchTemplateId ?? "", version: 1 }, ...settings },
    ec2: world.ec2,
    clock: { now: world.now },
    pause: world.pass,
    log: createLog({ level: "silent" }).log,
  });
  const launch = { ...world.intend(1), image: settings.image ?? world.config.image };
  const planned = provider.planLaunch(1);
  try {
    await provider.ensureLaunched("plan" in planned ? { ...launch, plan: planned.plan } : launch);
    return "launched";
  } catch (error) {
    if (!isAppError(error, "MACHINE_LAUNCH_FAILED")) {
      throw error;
    }
    return error.message;
  }
}
