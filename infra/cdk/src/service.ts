import { Duration, type Stack } from "aws-cdk-lib";
import {
  AutoScalingGroup,
  BlockDeviceVolume,
  EbsDeviceVolumeType,
  HealthChecks,
  ScalingEvents,
  UpdatePolicy,
} from "aws-cdk-lib/aws-autoscaling";
import {
  type CfnLaunchTemplate,
  InstanceType,
  LaunchTemplate,
  MachineImage,
  Peer,
  Port,
  SecurityGroup,
  UserData,
} from "aws-cdk-lib/aws-ec2";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { CfnKey } from "aws-cdk-lib/aws-kms";
import type { CfnSecret } from "aws-cdk-lib/aws-secretsmanager";
import type { Topic } from "aws-cdk-lib/aws-sns";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { acknowledge } from "./acknowledge.ts";
import type { Cache } from "./cache.ts";
import type { Network } from "./network.ts";
import type { Parameters } from "./parameters.ts";
import { noticeRights } from "./notices.ts";
import { endRights, launchRights, neverRights, readRights, signRights } from "./rights.ts";
import { type Role as HostRole, settingsFile, SHARED_FOLDER } from "./settings-file.ts";
import type { Secrets, State } from "./state.ts";

const NFS_PORT = 2049;
const DISK_GIB = 40;
/** A host mounts the shared folder, fetches secrets and starts: minutes, with room. */
const GRACE = Duration.minutes(10);

export interface ServiceInput {
  readonly stack: Stack;
  readonly parameters: Parameters;
  readonly network: Network;
  readonly template: CfnLaunchTemplate;
  readonly notices: Queue;
  readonly cache: Cache;
  readonly state: State;
  readonly secrets: Secrets;
  readonly appKey: CfnKey | null;
  readonly alarms: Topic;
}

/** Hosts that are alike. */
interface Hosts {
  readonly group: AutoScalingGroup;
  readonly securityGroup: SecurityGroup;
}

export interface Service {
  /** Those that launch machines, and that machines come to. */
  readonly workers: Hosts;
  /** Those that webhooks go to: the same, unless they have hosts of their own. */
  readonly fronts: Hosts;
}

/** What hosts of one kind are. */
interface HostsKind {
  /** The beginning of the names of all that is theirs. */
  readonly name: "Host" | "Front";
  readonly replicas: number;
  /** Null for every role. */
  readonly roles: readonly HostRole[] | null;
  readonly role: Role;
}

/**
 * Hosts of the service, on EC2 and not on Fargate: its processes are three users, and git is confined in user namespaces
 * with subordinate uids. Fargate allows neither newuidmap nor mounts in a namespace.
 */
export function addService(scope: Construct, input: ServiceInput): Service {
  const { replicas, frontReplicas } = input.parameters;
  const hasFronts = frontReplicas > 0;
  const role = addRole(scope, input);
  const roles = hasFronts ? (["worker", "broker"] as const) : null;
  const workers = addHosts(scope, input, { name: "Host", replicas, roles, role });
  if (!hasFronts) {
    return { workers, fronts: workers };
  }
  const fronts = addHosts(scope, input, {
    name: "Front",
    replicas: frontReplicas,
    roles: ["intake", "web"],
    role: addFrontRole(scope, input),
  });
  return { workers, fronts };
}

function addHosts(scope: Construct, input: ServiceInput, kind: HostsKind): Hosts {
  const { parameters, network, alarms } = input;
  const { name, replicas, role } = kind;
  const securityGroup = addSecurityGroup(scope, input, name);
  const userData = UserData.custom(userDataOf(input, kind));
  const template = new LaunchTemplate(scope, `${name}Template`, {
    machineImage: MachineImage.genericLinux({ [parameters.region]: parameters.serviceImageId }),
    instanceType: new InstanceType(parameters.serviceInstanceType),
    role,
    securityGroup,
    userData,
    requireImdsv2: true,
    httpPutResponseHopLimit: 1,
    associatePublicIpAddress: false,
    blockDevices: [
      {
        deviceName: "/dev/xvda",
        volume: BlockDeviceVolume.ebs(DISK_GIB, {
          encrypted: true,
          volumeType: EbsDeviceVolumeType.GP3,
          deleteOnTermination: true,
        }),
      },
    ],
  });
  const group = new AutoScalingGroup(scope, `${name}s`, {
    vpc: network.vpc,
    vpcSubnets: { subnets: network.serviceSubnets },
    launchTemplate: template,
    minCapacity: replicas,
    maxCapacity: replicas,
    // By EC2's own checks alone: while the cache is away no host is ready, and new ones would not be either.
    healthChecks: HealthChecks.ec2({ gracePeriod: GRACE }),
    updatePolicy: UpdatePolicy.rollingUpdate({ maxBatchSize: 1, minInstancesInService: replicas - 1 }),
    notifications: [{ topic: alarms, scalingEvents: ScalingEvents.ALL }],
  });
  return { group, securityGroup };
}

function addRole(scope: Construct, input: ServiceInput): Role {
  const { stack, parameters, network, template, notices, secrets, appKey } = input;
  const role = new Role(scope, "HostRole", {
    assumedBy: new ServicePrincipal("ec2.amazonaws.com"),
    description: "Hosts of Mayfly. Machines have no role at all.",
  });
  const fleet = { stack, parameters, template, network: network.machines };
  const statements = [...launchRights(fleet), ...endRights(fleet), ...readRights(fleet), ...neverRights()];
  for (const statement of [...statements, ...noticeRights(notices)]) {
    role.addToPolicy(statement);
  }
  addOwnRights(role, input, secretsOf(secrets));
  for (const statement of signRights(appKey)) {
    role.addToPolicy(statement);
  }
  acknowledgeWildcards(role, parameters);
  return role;
}

/** Webhooks are kept and operators answered: nothing of it needs a machine, the App or the model. */
function addFrontRole(scope: Construct, input: ServiceInput): Role {
  const role = new Role(scope, "FrontRole", {
    assumedBy: new ServicePrincipal("ec2.amazonaws.com"),
    description: "Hosts of Mayfly that take webhooks. They launch nothing.",
  });
  addOwnRights(role, input, [input.secrets.webhookSecret]);
  return role;
}

/** To start: its secrets and the shared folder. */
function addOwnRights(role: Role, { cache, state }: ServiceInput, secrets: readonly CfnSecret[]): void {
  role.addToPolicy(
    new PolicyStatement({
      sid: "ReadSecrets",
      actions: ["secretsmanager:GetSecretValue"],
      resources: [...secrets.map(({ ref }) => ref), cache.token.secretArn],
    }),
  );
  role.addToPolicy(
    new PolicyStatement({
      sid: "MountState",
      actions: ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "elasticfilesystem:ClientRootAccess"],
      resources: [state.files.fileSystemArn],
    }),
  );
}

function secretsOf({ appKey, webhookSecret, modelKey }: Secrets): CfnSecret[] {
  return [...(appKey === null ? [] : [appKey]), webhookSecret, modelKey];
}

function addSecurityGroup(
  scope: Construct,
  { network, cache, state }: ServiceInput,
  name: HostsKind["name"],
): SecurityGroup {
  const group = new SecurityGroup(scope, `${name}SecurityGroup`, {
    vpc: network.vpc,
    description: "Hosts of the service: in from the load balancers, out by TLS",
    allowAllOutbound: false,
  });
  // GitHub, the model and AWS have no addresses that stay the same.
  group.addEgressRule(Peer.anyIpv4(), Port.tcp(443), "GitHub, the model and AWS");
  for (const [other, port, description] of [
    [cache.securityGroup, cache.port, "records"],
    [state.securityGroup, NFS_PORT, "shared folder"],
  ] as const) {
    group.addEgressRule(other, Port.tcp(port), description);
    other.addIngressRule(group, Port.tcp(port), description);
  }
  return group;
}

/** What a host is told at its first start. Nothing of it is secret, and all of it is ours: parameters and ids. */
function userDataOf(input: ServiceInput, { roles }: HostsKind): string {
  const { parameters, cache, state, secrets } = input;
  const isWorker = roles?.includes("worker") ?? true;
  const quotedOrNull = (secret: CfnSecret | null) => (secret === null || !isWorker ? "null" : `"${secret.ref}"`);
  return [
    "#!/bin/bash",
    "set -euo pipefail",
    "install -d -m 0755 /etc/mayfly",
    "cat > /etc/mayfly/mayfly.yaml <<'EOF'",
    settingsFile({ ...input, roles }),
    "EOF",
    "cat > /etc/mayfly/aws.json <<'EOF'",
    `{ "region": "${parameters.region}",`,
    `  "cache": { "host": "${cache.endpoint}", "port": ${cache.port}, "token": "${cache.token.secretArn}" },`,
    `  "app_key": ${quotedOrNull(secrets.appKey)},`,
    `  "webhook_secret": "${secrets.webhookSecret.ref}",`,
    `  "model_key": ${quotedOrNull(secrets.modelKey)} }`,
    "EOF",
    `install -d -m 0755 ${SHARED_FOLDER}`,
    `echo '${state.files.fileSystemId}:/ ${SHARED_FOLDER} efs _netdev,tls,iam 0 0' >> /etc/fstab`,
    "systemctl daemon-reload",
    `mount ${SHARED_FOLDER}`,
    "systemctl enable --now mayfly.service",
    "",
  ].join("\n");
}

/** Where a right cannot be narrowed by its resource it is narrowed by a condition; these are all there are. */
function acknowledgeWildcards(role: Role, { region }: Parameters): void {
  for (const kind of ["instance", "volume", "network-interface", "spot-instances-request", "fleet"]) {
    acknowledge(
      role,
      `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ec2:${region}:<AWS::AccountId>:${kind}/*]`,
      "Ids are made by EC2 at the launch. Each statement is bound to the fleet's tag or to the call that makes it",
    );
  }
  acknowledge(
    role,
    "AwsSolutions-IAM5[Resource::*]",
    "Describe calls know no resource, and are bound to the region. The others with it deny",
  );
}
