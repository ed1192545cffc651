import { SecretValue } from "aws-cdk-lib";
import { SecurityGroup } from "aws-cdk-lib/aws-ec2";
import { CfnParameterGroup, CfnReplicationGroup, CfnSubnetGroup } from "aws-cdk-lib/aws-elasticache";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Construct } from "constructs";
import { acknowledge } from "./acknowledge.ts";
import type { Network } from "./network.ts";
import type { Parameters } from "./parameters.ts";

/** Not the usual one: nothing of ours needs it, and scanners of a network begin there. */
const CACHE_PORT = 6380;
const SNAPSHOTS_KEPT_DAYS = 7;

export interface Cache {
  readonly endpoint: string;
  readonly port: number;
  readonly token: Secret;
  readonly securityGroup: SecurityGroup;
  /** The first node, as metrics name it: there are two, and either may be the first. */
  readonly nodes: readonly string[];
}

/**
 * The records: Valkey in two zones, with TLS, a token and `noeviction`. ElastiCache has no append-only file. The nearest
 * is the second node, which has almost everything of the first when that one dies, and a snapshot a day.
 */
export function addCache(
  scope: Construct,
  { parameters, network }: { parameters: Parameters; network: Network },
): Cache {
  const securityGroup = new SecurityGroup(scope, "CacheSecurityGroup", {
    vpc: network.vpc,
    description: "Cache: hosts of the service alone",
    allowAllOutbound: false,
  });
  const token = new Secret(scope, "CacheToken", {
    description: "Mayfly: token of the cache, made by this stack",
    generateSecretString: { passwordLength: 64, excludePunctuation: true },
  });
  acknowledge(token, "AwsSolutions-SMG4", "Turning it needs the cache and the service in step: docs/guides/aws.md");
  const subnets = new CfnSubnetGroup(scope, "CacheSubnets", {
    description: "Mayfly",
    subnetIds: network.dataSubnets.map(({ subnetId }) => subnetId),
  });
  const settings = new CfnParameterGroup(scope, "CacheSettings", {
    cacheParameterGroupFamily: "valkey8",
    description: "Mayfly: nothing is evicted, since what would go is a running machine's record",
    properties: { "maxmemory-policy": "noeviction", "cluster-enabled": "no" },
  });
  const group = new CfnReplicationGroup(scope, "Cache", {
    replicationGroupId: `${parameters.name}-records`,
    replicationGroupDescription: "Mayfly: records of runs and machines",
    engine: "valkey",
    engineVersion: "8.0",
    cacheNodeType: parameters.cacheNodeType,
    numCacheClusters: 2,
    multiAzEnabled: true,
    automaticFailoverEnabled: true,
    port: CACHE_PORT,
    transitEncryptionEnabled: true,
    transitEncryptionMode: "required",
    atRestEncryptionEnabled: true,
    authToken: SecretValue.secretsManager(token.secretArn).unsafeUnwrap(),
    cacheSubnetGroupName: subnets.ref,
    cacheParameterGroupName: settings.ref,
    securityGroupIds: [securityGroup.securityGroupId],
    snapshotRetentionLimit: SNAPSHOTS_KEPT_DAYS,
    autoMinorVersionUpgrade: true,
  });
  return {
    endpoint: group.attrPrimaryEndPointAddress,
    port: CACHE_PORT,
    token,
    securityGroup,
    nodes: ["001", "002"].map((number) => `${parameters.name}-records-${number}`),
  };
}
