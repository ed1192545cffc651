import { Fn, Tags } from "aws-cdk-lib";
import {
  CfnNetworkAcl,
  CfnNetworkAclEntry,
  CfnRoute,
  CfnRouteTable,
  CfnSecurityGroup,
  CfnSubnet,
  CfnSubnetNetworkAclAssociation,
  CfnSubnetRouteTableAssociation,
  CfnVPC,
  CfnVPCPeeringConnection,
  CfnFlowLog,
  FlowLogDestination,
  FlowLogTrafficType,
  IpAddresses,
  type ISubnet,
  type IVpc,
  type Subnet,
  SubnetType,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { acknowledge } from "./acknowledge.ts";
import type { Parameters } from "./parameters.ts";
import { retentionOf } from "./retention.ts";

/** Zones of the service: a load balancer and the cache want two. */
const SERVICE_ZONES = 2;
/** The kernel of a machine picks its own ports from here; answers of the broker come back to them. */
const EPHEMERAL = { from: 1024, to: 65_535 };
const TCP = 6;
const ACL_REASON = "Wanted as a second wall: it repeats the security group, for whoever changes one of them by mistake";
/** AWS keeps the first four addresses of a subnet and the last. */
const BROKER_HOST_NUMBER = 10;

export interface Network {
  readonly vpc: IVpc;
  readonly publicSubnets: ISubnet[];
  readonly serviceSubnets: ISubnet[];
  readonly dataSubnets: ISubnet[];
  /** Where the broker's load balancer stands, and its fixed address there. */
  readonly broker: readonly { readonly subnet: ISubnet; readonly address: string }[];
  readonly machines: MachineNetwork;
  readonly flowLogs: LogGroup;
}

export interface MachineNetwork {
  readonly subnetIds: readonly string[];
  readonly securityGroupId: string;
}

/**
 * Two networks. The service's has a way out and a resolver. The machines' has neither, no gateway of any kind and no
 * route but those to the two small subnets of the broker's load balancer: peering, since the broker must see the
 * machine's own address, which an interface endpoint would hide.
 */
export function addNetwork(scope: Construct, parameters: Parameters): Network {
  const vpc = addServiceVpc(scope, parameters);
  const subnets = (subnetGroupName: string) => vpc.selectSubnets({ subnetGroupName }).subnets;
  const broker = subnets("broker").map((subnet) => ({ subnet, address: hostAddress(subnet.ipv4CidrBlock) }));
  const flowLogs = new LogGroup(scope, "FlowLogs", { retention: retentionOf(parameters) });
  vpc.addFlowLog("Flow", {
    destination: FlowLogDestination.toCloudWatchLogs(flowLogs),
    trafficType: FlowLogTrafficType.REJECT,
  });
  const machineVpc = new CfnVPC(scope, "MachineVpc", {
    cidrBlock: parameters.machineCidr,
    // Security groups and network ACLs do not filter the resolver: with it, names would be a way out.
    enableDnsSupport: false,
    enableDnsHostnames: false,
  });
  Tags.of(machineVpc).add("Name", `${parameters.name}-machines`);
  addRejectLog(scope, machineVpc, flowLogs);
  const machines = addMachineSubnets(scope, { parameters, machineVpc, broker });
  addPeering(scope, { parameters, vpc, machineVpc, broker, routeTableId: machines.routeTableId });
  return {
    // CDK's own class does not fit its own interface where optional means absent.
    vpc: vpc as IVpc,
    publicSubnets: subnets("public"),
    serviceSubnets: subnets("service"),
    dataSubnets: subnets("data"),
    broker,
    machines,
    flowLogs,
  };
}

function addServiceVpc(scope: Construct, { serviceCidr, natGateways }: Parameters): Vpc {
  return new Vpc(scope, "ServiceVpc", {
    ipAddresses: IpAddresses.cidr(serviceCidr),
    maxAzs: SERVICE_ZONES,
    natGateways,
    subnetConfiguration: [
      { name: "public", subnetType: SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
      { name: "service", subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 24 },
      { name: "data", subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      { name: "broker", subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 28 },
    ],
  });
}

function hostAddress(cidr: string): string {
  const [network = ""] = cidr.split("/");
  const parts = network.split(".").map(Number);
  return [...parts.slice(0, 3), (parts[3] ?? 0) + BROKER_HOST_NUMBER].join(".");
}

interface MachineSubnetsInput {
  readonly parameters: Parameters;
  readonly machineVpc: CfnVPC;
  readonly broker: Network["broker"];
}

function addMachineSubnets(scope: Construct, input: MachineSubnetsInput): MachineNetwork & { routeTableId: string } {
  const { parameters, machineVpc, broker } = input;
  const vpcId = machineVpc.attrVpcId;
  const routeTable = new CfnRouteTable(scope, "MachineRoutes", { vpcId });
  const acl = addMachineAcl(scope, { vpcId, broker, port: parameters.brokerPort });
  const cidrs = Fn.cidr(parameters.machineCidr, parameters.machineZones, "9");
  const subnetIds = Array.from({ length: parameters.machineZones }, (_, index) => {
    const subnet = new CfnSubnet(scope, `MachineSubnet${index}`, {
      vpcId,
      cidrBlock: Fn.select(index, cidrs),
      availabilityZone: Fn.select(index, Fn.getAzs()),
      mapPublicIpOnLaunch: false,
      assignIpv6AddressOnCreation: false,
    });
    const subnetId = subnet.attrSubnetId;
    new CfnSubnetRouteTableAssociation(scope, `MachineSubnet${index}Routes`, {
      subnetId,
      routeTableId: routeTable.attrRouteTableId,
    });
    new CfnSubnetNetworkAclAssociation(scope, `MachineSubnet${index}Acl`, { subnetId, networkAclId: acl.attrId });
    return subnetId;
  });
  const securityGroup = new CfnSecurityGroup(scope, "MachineSecurityGroup", {
    groupDescription: "Machines: nothing comes in, and out to the broker alone",
    vpcId,
    securityGroupIngress: [],
    securityGroupEgress: broker.map(({ address }) => ({
      ipProtocol: "tcp",
      cidrIp: `${address}/32`,
      fromPort: parameters.brokerPort,
      toPort: parameters.brokerPort,
      description: "the broker",
    })),
  });
  return { subnetIds, securityGroupId: securityGroup.attrGroupId, routeTableId: routeTable.attrRouteTableId };
}

/** Says once more what the security group says. Everything else is denied. */
function addMachineAcl(
  scope: Construct,
  { vpcId, broker, port }: { vpcId: string; broker: Network["broker"]; port: number },
): CfnNetworkAcl {
  const acl = new CfnNetworkAcl(scope, "MachineAcl", { vpcId });
  acknowledge(acl, "AwsSolutions-VPC3", ACL_REASON);
  for (const [index, { address }] of broker.entries()) {
    const common = {
      networkAclId: acl.attrId,
      ruleNumber: 100 + index,
      ruleAction: "allow",
      protocol: TCP,
      cidrBlock: `${address}/32`,
    };
    const entries = [
      new CfnNetworkAclEntry(scope, `MachineAclOut${index}`, {
        ...common,
        egress: true,
        portRange: { from: port, to: port },
      }),
      new CfnNetworkAclEntry(scope, `MachineAclIn${index}`, { ...common, egress: false, portRange: EPHEMERAL }),
    ];
    for (const entry of entries) {
      acknowledge(entry, "AwsSolutions-VPC3", ACL_REASON);
    }
  }
  return acl;
}

interface PeeringInput {
  readonly parameters: Parameters;
  readonly vpc: Vpc;
  readonly machineVpc: CfnVPC;
  readonly broker: Network["broker"];
  readonly routeTableId: string;
}

/** Routes from the machines to the broker's subnets and back from these alone: no host of the service has one. */
function addPeering(scope: Construct, { parameters, vpc, machineVpc, broker, routeTableId }: PeeringInput): void {
  const peering = new CfnVPCPeeringConnection(scope, "Peering", {
    vpcId: machineVpc.attrVpcId,
    peerVpcId: vpc.vpcId,
  });
  for (const [index, { subnet }] of broker.entries()) {
    new CfnRoute(scope, `MachinesToBroker${index}`, {
      routeTableId,
      destinationCidrBlock: subnet.ipv4CidrBlock,
      vpcPeeringConnectionId: peering.attrId,
    });
    new CfnRoute(scope, `BrokerToMachines${index}`, {
      routeTableId: (subnet as Subnet).routeTable.routeTableId,
      destinationCidrBlock: parameters.machineCidr,
      vpcPeeringConnectionId: peering.attrId,
    });
  }
}

/** What machines tried and were not let: the log of it is how a probe is noticed. */
function addRejectLog(scope: Construct, machineVpc: CfnVPC, group: LogGroup): void {
  const role = new Role(scope, "MachineFlowRole", { assumedBy: new ServicePrincipal("vpc-flow-logs.amazonaws.com") });
  role.addToPolicy(
    new PolicyStatement({
      actions: ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
      resources: [group.logGroupArn],
    }),
  );
  new CfnFlowLog(scope, "MachineFlow", {
    resourceType: "VPC",
    resourceId: machineVpc.attrVpcId,
    trafficType: "REJECT",
    logDestinationType: "cloud-watch-logs",
    logGroupName: group.logGroupName,
    deliverLogsPermissionArn: role.roleArn,
  });
}
