import { AccountRootPrincipal, PolicyStatement, Role } from "aws-cdk-lib/aws-iam";
import type { Stack } from "aws-cdk-lib";
import { acknowledge } from "./acknowledge.ts";
import type { Parameters } from "./parameters.ts";
import { IMAGE_TAG } from "./tags.ts";

/**
 * The role that may turn a disk file into an image machines boot from: it writes a snapshot block by block over the EBS
 * direct API and registers it. No build host in AWS, no import service with a role of its own, no bucket. It can neither
 * launch nor end anything, nor touch an image that it did not make.
 */
export function addImagePublisher(stack: Stack, { name, region }: Parameters): Role {
  const role = new Role(stack, "ImagePublisher", {
    assumedBy: new AccountRootPrincipal(),
    description: "Publishes Mayfly's machine image",
  });
  const snapshots = `arn:${stack.partition}:ec2:${stack.region}::snapshot/*`;
  const images = `arn:${stack.partition}:ec2:${stack.region}::image/*`;
  const ours = { StringEquals: { [`aws:ResourceTag/${IMAGE_TAG}`]: name } };
  const born = { StringEquals: { [`aws:RequestTag/${IMAGE_TAG}`]: name } };
  const statements = [
    { sid: "BeginSnapshot", actions: ["ebs:StartSnapshot"], resources: [snapshots], conditions: born },
    {
      sid: "WriteSnapshot",
      actions: ["ebs:PutSnapshotBlock", "ebs:CompleteSnapshot"],
      resources: [snapshots],
      conditions: ours,
    },
    { sid: "RegisterFromSnapshot", actions: ["ec2:RegisterImage"], resources: [snapshots], conditions: ours },
    { sid: "RegisterImage", actions: ["ec2:RegisterImage"], resources: [images], conditions: born },
    {
      sid: "TagAtBirth",
      actions: ["ec2:CreateTags"],
      resources: [snapshots, images],
      conditions: { StringEquals: { "ec2:CreateAction": ["RegisterImage", "CreateSnapshot"] } },
    },
    {
      sid: "RemoveOldOnes",
      actions: ["ec2:DeregisterImage", "ec2:DeleteSnapshot"],
      resources: [snapshots, images],
      conditions: ours,
    },
    {
      sid: "Look",
      actions: ["ec2:DescribeImages", "ec2:DescribeSnapshots"],
      resources: ["*"],
      conditions: { StringEquals: { "aws:RequestedRegion": stack.region } },
    },
  ];
  for (const statement of statements) {
    role.addToPolicy(new PolicyStatement(statement));
  }
  for (const kind of ["snapshot", "image"]) {
    acknowledge(
      role,
      `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ec2:${region}::${kind}/*]`,
      "Ids are made by EC2; each statement is bound to the image tag",
    );
  }
  acknowledge(role, "AwsSolutions-IAM5[Resource::*]", "Describe calls know no resource, and are bound to the region");
  return role;
}
