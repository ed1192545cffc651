import type { CfnLaunchTemplate } from "aws-cdk-lib/aws-ec2";
import { Effect, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { CfnKey } from "aws-cdk-lib/aws-kms";
import type { Stack } from "aws-cdk-lib";
import type { MachineNetwork } from "./network.ts";
import type { Parameters } from "./parameters.ts";
import { FLEET_TAG } from "./tags.ts";

/** What a launch makes. Each must be born with the fleet's tag. */
const MADE = ["fleet", "instance", "volume", "network-interface"];
/** Calls that make something, as `ec2:CreateAction` names them. */
const MAKERS = ["RunInstances", "CreateFleet"];

interface Fleet {
  readonly stack: Stack;
  readonly parameters: Parameters;
  readonly template: CfnLaunchTemplate;
  readonly network: MachineNetwork;
}

/**
 * What the service may do with EC2: launch from the one template into the machines' subnets, tag only what a launch
 * makes and only while it makes it, end what carries the fleet's tag, and look. No `iam:PassRole`, so no machine can be
 * given a role.
 */
export function launchRights(fleet: Fleet): PolicyStatement[] {
  const { stack, parameters, template, network } = fleet;
  const arn = (resource: string) => ec2Arn(stack, resource);
  const templateArn = arn(`launch-template/${template.attrLaunchTemplateId}`);
  const fromTemplate = { ArnEquals: { "ec2:LaunchTemplate": templateArn } };
  const tagged = { [`aws:RequestTag/${FLEET_TAG}`]: fleetNames(parameters) };
  return [
    new PolicyStatement({
      sid: "LaunchInstances",
      actions: ["ec2:RunInstances"],
      resources: [arn("instance/*")],
      conditions: {
        ...fromTemplate,
        StringEquals: {
          ...tagged,
          "ec2:MetadataHttpEndpoint": "disabled",
          "ec2:InstanceType": parameters.machineInstanceTypes,
        },
        Null: { "ec2:InstanceProfile": "true" },
      },
    }),
    new PolicyStatement({
      sid: "LaunchVolumes",
      actions: ["ec2:RunInstances"],
      resources: [arn("volume/*")],
      conditions: { ...fromTemplate, StringEquals: tagged, Bool: { "ec2:Encrypted": "true" } },
    }),
    new PolicyStatement({
      sid: "LaunchInterfaces",
      actions: ["ec2:RunInstances"],
      resources: [arn("network-interface/*")],
      conditions: {
        ...fromTemplate,
        StringEquals: tagged,
        Bool: { "ec2:AssociatePublicIpAddress": "false" },
      },
    }),
    new PolicyStatement({
      sid: "LaunchFleets",
      actions: ["ec2:CreateFleet"],
      resources: MADE.map((kind) => arn(`${kind}/*`)),
      conditions: { StringEquals: tagged },
    }),
    new PolicyStatement({
      sid: "LaunchFrom",
      actions: MAKERS.map((call) => `ec2:${call}`),
      resources: [
        templateArn,
        arn(`security-group/${network.securityGroupId}`),
        ...network.subnetIds.map((id) => arn(`subnet/${id}`)),
        // Not tagged: EC2 refuses tags for it where the launch is not a spot one. It is nothing without an instance.
        arn("spot-instances-request/*"),
        `arn:${stack.partition}:ec2:${stack.region}::image/${parameters.machineImageId}`,
      ],
    }),
    new PolicyStatement({
      sid: "TagWhatALaunchMakes",
      actions: ["ec2:CreateTags"],
      resources: MADE.map((kind) => arn(`${kind}/*`)),
      conditions: { StringEquals: { "ec2:CreateAction": MAKERS } },
    }),
  ];
}

/** To end what carries the fleet's tag, and to look. `Describe…` knows no narrower resource than all. */
export function endRights({ stack, parameters }: Pick<Fleet, "stack" | "parameters">): PolicyStatement[] {
  const conditions = { StringEquals: { [`aws:ResourceTag/${FLEET_TAG}`]: fleetNames(parameters) } };
  return [
    new PolicyStatement({
      sid: "EndMachines",
      actions: ["ec2:TerminateInstances"],
      resources: [ec2Arn(stack, "instance/*")],
      conditions,
    }),
    new PolicyStatement({
      sid: "RemoveVolumes",
      actions: ["ec2:DeleteVolume"],
      resources: [ec2Arn(stack, "volume/*")],
      conditions,
    }),
    new PolicyStatement({
      sid: "RemoveInterfaces",
      actions: ["ec2:DeleteNetworkInterface"],
      resources: [ec2Arn(stack, "network-interface/*")],
      conditions,
    }),
    new PolicyStatement({
      sid: "Look",
      actions: ["ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeNetworkInterfaces"],
      resources: ["*"],
      conditions: { StringEquals: { "aws:RequestedRegion": stack.region } },
    }),
  ];
}

/** The service's fleet, and the one of `mayfly verify-ec2`, whose machine is no business of the service's. */
function fleetNames({ name }: Pick<Parameters, "name">): string[] {
  return [name, `${name}-verify`];
}

/** What a machine that does not come up has said, and what is looked at before anything is launched. */
export function readRights({ stack, parameters }: Pick<Fleet, "stack" | "parameters">): PolicyStatement[] {
  return [
    new PolicyStatement({
      sid: "ReadConsole",
      actions: ["ec2:GetConsoleOutput"],
      resources: [ec2Arn(stack, "instance/*")],
      conditions: { StringEquals: { [`aws:ResourceTag/${FLEET_TAG}`]: fleetNames(parameters) } },
    }),
    new PolicyStatement({
      sid: "LookBeforeLaunch",
      actions: [
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeImages",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcAttribute",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeInstanceTypeOfferings",
      ],
      resources: ["*"],
      conditions: { StringEquals: { "aws:RequestedRegion": stack.region } },
    }),
  ];
}

/** To sign as the App, in the one way that GitHub takes, and to look at the public half. Nothing where it is not in KMS. */
export function signRights(appKey: CfnKey | null): PolicyStatement[] {
  if (appKey === null) {
    return [];
  }
  const resources = [appKey.attrArn];
  return [
    new PolicyStatement({
      sid: "SignAsTheApp",
      actions: ["kms:Sign"],
      resources,
      conditions: { StringEquals: { "kms:SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256" } },
    }),
    new PolicyStatement({ sid: "LookAtTheAppsKey", actions: ["kms:GetPublicKey"], resources }),
  ];
}

/**
 * Said outright, so that a policy added later by somebody else does not undo it: no role goes to a machine, a tag is set
 * once, and a machine that ran is never stopped, started or changed.
 */
export function neverRights(): PolicyStatement[] {
  const deny = { effect: Effect.DENY, resources: ["*"] };
  return [
    new PolicyStatement({
      ...deny,
      sid: "NeverAgain",
      actions: [
        "iam:PassRole",
        "ec2:DeleteTags",
        "ec2:StartInstances",
        "ec2:StopInstances",
        "ec2:ModifyInstanceAttribute",
        "ec2:ModifyInstanceMetadataOptions",
        "ec2:AssociateIamInstanceProfile",
      ],
    }),
    new PolicyStatement({
      ...deny,
      sid: "NeverTagLater",
      actions: ["ec2:CreateTags"],
      conditions: { Null: { "ec2:CreateAction": "true" } },
    }),
  ];
}

function ec2Arn(stack: Stack, resource: string): string {
  return `arn:${stack.partition}:ec2:${stack.region}:${stack.account}:${resource}`;
}
