/** The actions that the stand-in knows; every other one is refused and recorded. */
import { createFleet } from "./fleets.ts";
import { describeInstances, getConsoleOutput, terminateInstances } from "./instances.ts";
import {
  describeImages,
  describeInstanceTypeOfferings,
  describeInstanceTypes,
  describeSecurityGroups,
  describeSpotPriceHistory,
  describeSubnets,
  describeVpcAttribute,
  describeVpcs,
} from "./places.ts";
import { runInstances } from "./run-instances.ts";
import { deleteNetworkInterface, deleteVolume, describeNetworkInterfaces, describeVolumes } from "./storage.ts";
import { createLaunchTemplate, createLaunchTemplateVersion, describeLaunchTemplateVersions } from "./templates.ts";
import type { World } from "./world.ts";

type Action = (world: World, input: object) => object;

/** An input was decoded by the service model, so it is of the operation's type. */
const actions: Readonly<Record<string, Action>> = {
  CreateFleet: createFleet as Action,
  CreateLaunchTemplate: createLaunchTemplate as Action,
  CreateLaunchTemplateVersion: createLaunchTemplateVersion as Action,
  DeleteNetworkInterface: deleteNetworkInterface as Action,
  DeleteVolume: deleteVolume as Action,
  DescribeImages: describeImages,
  DescribeInstanceTypeOfferings: describeInstanceTypeOfferings,
  DescribeInstanceTypes: describeInstanceTypes,
  DescribeInstances: describeInstances,
  DescribeLaunchTemplateVersions: describeLaunchTemplateVersions,
  DescribeNetworkInterfaces: describeNetworkInterfaces,
  DescribeSecurityGroups: describeSecurityGroups,
  DescribeSpotPriceHistory: describeSpotPriceHistory,
  DescribeSubnets: describeSubnets,
  DescribeVolumes: describeVolumes,
  DescribeVpcAttribute: describeVpcAttribute as Action,
  DescribeVpcs: describeVpcs,
  GetConsoleOutput: getConsoleOutput as Action,
  RunInstances: runInstances as Action,
  TerminateInstances: terminateInstances as Action,
};

export function actionOf(name: string): Action | null {
  return Object.hasOwn(actions, name) ? (actions[name] ?? null) : null;
}
