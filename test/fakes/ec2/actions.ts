/** The actions that the stand-in knows; every other one is refused and recorded. */
import { createFleet } from "./fleets.ts";
import { deleteSnapshot, deregisterImage, describeImages, describeSnapshots, registerImage } from "./images.ts";
import { describeInstances, getConsoleOutput, terminateInstances } from "./instances.ts";
import {
  describeInstanceTypeOfferings,
  describeInstanceTypes,
  describeRouteTables,
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
  DeleteSnapshot: deleteSnapshot as Action,
  DeleteVolume: deleteVolume as Action,
  DeregisterImage: deregisterImage as Action,
  DescribeImages: describeImages,
  DescribeInstanceTypeOfferings: describeInstanceTypeOfferings,
  DescribeInstanceTypes: describeInstanceTypes,
  DescribeInstances: describeInstances,
  DescribeLaunchTemplateVersions: describeLaunchTemplateVersions,
  DescribeNetworkInterfaces: describeNetworkInterfaces,
  DescribeRouteTables: describeRouteTables,
  DescribeSecurityGroups: describeSecurityGroups,
  DescribeSnapshots: describeSnapshots,
  DescribeSpotPriceHistory: describeSpotPriceHistory,
  DescribeSubnets: describeSubnets,
  DescribeVolumes: describeVolumes,
  DescribeVpcAttribute: describeVpcAttribute as Action,
  DescribeVpcs: describeVpcs,
  GetConsoleOutput: getConsoleOutput as Action,
  RegisterImage: registerImage as Action,
  RunInstances: runInstances as Action,
  TerminateInstances: terminateInstances as Action,
};

export function actionOf(name: string): Action | null {
  return Object.hasOwn(actions, name) ? (actions[name] ?? null) : null;
}
