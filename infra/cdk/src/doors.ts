import { Duration, RemovalPolicy } from "aws-cdk-lib";
import { Peer, Port, SecurityGroup } from "aws-cdk-lib/aws-ec2";
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ApplicationTargetGroup,
  ListenerAction,
  ListenerCertificate,
  ListenerCondition,
  NetworkLoadBalancer,
  NetworkTargetGroup,
  Protocol,
  SslPolicy,
} from "aws-cdk-lib/aws-elasticloadbalancingv2";
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import { acknowledge } from "./acknowledge.ts";
import type { Network } from "./network.ts";
import type { Parameters } from "./parameters.ts";
import type { Service } from "./service.ts";
import { WEBHOOK_PORT } from "./settings-file.ts";

/** A model may think for long without a byte; the load balancer forgets a connection after this. */
const BROKER_IDLE = Duration.seconds(3600);
const HEALTH_EVERY = Duration.seconds(10);

export interface Doors {
  readonly webhook: ApplicationLoadBalancer;
  readonly webhookTargets: ApplicationTargetGroup;
  readonly broker: NetworkLoadBalancer;
  readonly brokerTargets: NetworkTargetGroup;
}

interface DoorsInput {
  readonly parameters: Parameters;
  readonly network: Network;
  readonly service: Service;
}

/** The two ways in: webhooks from GitHub, and the machines to the broker. */
export function addDoors(scope: Construct, input: DoorsInput): Doors {
  return { ...addWebhookDoor(scope, input), ...addBrokerDoor(scope, input) };
}

/** `POST /webhook` and nothing else: every other request is answered here and reaches no host. */
function addWebhookDoor(
  scope: Construct,
  { parameters, network, service }: DoorsInput,
): Pick<Doors, "webhook" | "webhookTargets"> {
  const securityGroup = new SecurityGroup(scope, "WebhookSecurityGroup", {
    vpc: network.vpc,
    description: "Webhooks, from where GitHub sends them",
    allowAllOutbound: false,
  });
  for (const source of parameters.webhookSources) {
    securityGroup.addIngressRule(Peer.ipv4(source), Port.tcp(443), "webhooks");
  }
  securityGroup.addEgressRule(service.fronts.securityGroup, Port.tcp(WEBHOOK_PORT), "the service");
  service.fronts.securityGroup.addIngressRule(securityGroup, Port.tcp(WEBHOOK_PORT), "webhooks");
  const webhook = new ApplicationLoadBalancer(scope, "Webhook", {
    vpc: network.vpc,
    vpcSubnets: { subnets: network.publicSubnets },
    internetFacing: true,
    securityGroup,
    dropInvalidHeaderFields: true,
  });
  webhook.logAccessLogs(addLogBucket(scope, parameters));
  const webhookTargets = new ApplicationTargetGroup(scope, "WebhookTargets", {
    vpc: network.vpc,
    port: WEBHOOK_PORT,
    protocol: ApplicationProtocol.HTTP,
    targets: [service.fronts.group],
    healthCheck: { path: "/livez", interval: HEALTH_EVERY, healthyThresholdCount: 2, unhealthyThresholdCount: 2 },
  });
  const listener = webhook.addListener("Https", {
    port: 443,
    protocol: ApplicationProtocol.HTTPS,
    sslPolicy: SslPolicy.TLS13_RES,
    certificates: [ListenerCertificate.fromArn(parameters.certificateArn)],
    open: false,
    defaultAction: ListenerAction.fixedResponse(404),
  });
  listener.addAction("OnlyWebhooks", {
    priority: 1,
    conditions: [ListenerCondition.pathPatterns(["/webhook"]), ListenerCondition.httpRequestMethods(["POST"])],
    action: ListenerAction.forward([webhookTargets]),
  });
  return { webhook, webhookTargets };
}

function addLogBucket(scope: Construct, { logDays }: Parameters): IBucket {
  const bucket = new Bucket(scope, "WebhookLogs", {
    encryption: BucketEncryption.S3_MANAGED,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    enforceSSL: true,
    lifecycleRules: [{ expiration: Duration.days(logDays) }],
    removalPolicy: RemovalPolicy.RETAIN,
  });
  acknowledge(bucket, "AwsSolutions-S1", "It holds access logs itself, and a log of who writes logs ends nowhere");
  // CDK's own class does not fit its own interface where optional means absent.
  return bucket as IBucket;
}

/**
 * Where machines find the broker: an address in each zone that never changes, since images have it as a number. TLS ends
 * at the broker, which sees the machine's own address.
 */
function addBrokerDoor(
  scope: Construct,
  { parameters, network, service }: DoorsInput,
): Pick<Doors, "broker" | "brokerTargets"> {
  const port = Port.tcp(parameters.brokerPort);
  const securityGroup = new SecurityGroup(scope, "BrokerSecurityGroup", {
    vpc: network.vpc,
    description: "Machines to the broker",
    allowAllOutbound: false,
  });
  securityGroup.addIngressRule(Peer.ipv4(parameters.machineCidr), port, "machines");
  securityGroup.addEgressRule(service.workers.securityGroup, port, "the broker");
  service.workers.securityGroup.addIngressRule(securityGroup, port, "machines");
  const broker = new NetworkLoadBalancer(scope, "Broker", {
    vpc: network.vpc,
    internetFacing: false,
    // One host works at a time, wherever it is.
    crossZoneEnabled: true,
    securityGroups: [securityGroup],
    subnetMappings: network.broker.map(({ subnet, address }) => ({ subnet, privateIpv4Address: address })),
  });
  acknowledge(
    broker,
    "AwsSolutions-ELB2",
    "A network load balancer logs TLS listeners alone, and TLS ends at the broker; rejected packets are in the flow log",
  );
  const brokerTargets = new NetworkTargetGroup(scope, "BrokerTargets", {
    vpc: network.vpc,
    port: parameters.brokerPort,
    protocol: Protocol.TCP,
    preserveClientIp: true,
    connectionTermination: true,
    targets: [service.workers.group],
    healthCheck: {
      protocol: Protocol.TCP,
      interval: HEALTH_EVERY,
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 2,
    },
  });
  broker.addListener("Machines", {
    port: parameters.brokerPort,
    protocol: Protocol.TCP,
    tcpIdleTimeout: BROKER_IDLE,
    defaultTargetGroups: [brokerTargets],
  });
  return { broker, brokerTargets };
}
