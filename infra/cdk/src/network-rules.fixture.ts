import {
  all,
  brokerAddresses,
  brokerDoors,
  brokerSubnets,
  byText,
  destination,
  isAssociated,
  machineVpc,
  mentions,
  range,
  same,
  unless,
  type Rules,
} from "./template.fixture.ts";

/** Rules of the networks: what machines reach, and what reaches them. */
export const networkRules: Rules = {
  "the machines' network has no resolver": (template) =>
    unless(
      machineVpc(template)?.Properties.EnableDnsSupport === false &&
        machineVpc(template)?.Properties.EnableDnsHostnames === false,
      "EnableDnsSupport",
    ),
  "the machines' network has no gateway and no endpoint": (template) => [
    ...all(template, "AWS::EC2::VPCGatewayAttachment")
      .filter(([, { VpcId }]) => mentions(VpcId, "MachineVpc"))
      .map(([id]) => id),
    ...Object.entries(template.Resources)
      .filter(([, { Type }]) => /VPCEndpoint|EgressOnly|TransitGateway|VPNGateway/.test(Type))
      .map(([id]) => id),
  ],
  "machines are routed to the broker's subnets alone": (template) => {
    const routes = all(template, "AWS::EC2::Route").filter(([, route]) =>
      mentions(route.RouteTableId, "MachineRoutes"),
    );
    const wrong = routes.filter(
      ([, route]) =>
        route.VpcPeeringConnectionId === undefined || !brokerSubnets(template).includes(route.DestinationCidrBlock),
    );
    return [...unless(routes.length === 2, "two routes"), ...wrong.map(([id]) => id)];
  },
  "only the broker's subnets are routed to machines": (template) =>
    all(template, "AWS::EC2::Route")
      .filter(
        ([, route]) =>
          route.VpcPeeringConnectionId !== undefined &&
          !mentions(route.RouteTableId, "MachineRoutes") &&
          !mentions(route.RouteTableId, "brokerSubnet"),
      )
      .map(([id]) => id),
  "machines' subnets give no public address, use the one route table and the one ACL": (template) => {
    const subnets = all(template, "AWS::EC2::Subnet").filter(([, { VpcId }]) => mentions(VpcId, "MachineVpc"));
    return [
      ...unless(subnets.length >= 1, "no subnets"),
      ...subnets.flatMap(([id, properties]) => [
        ...unless(properties.MapPublicIpOnLaunch === false && properties.AssignIpv6AddressOnCreation === false, id),
        ...unless(
          isAssociated(template, "AWS::EC2::SubnetRouteTableAssociation", [id, "MachineRoutes"]),
          `${id} routes`,
        ),
        ...unless(isAssociated(template, "AWS::EC2::SubnetNetworkAclAssociation", [id, "MachineAcl"]), `${id} ACL`),
      ]),
    ];
  },
  "nothing comes in to machines, and out goes what is for the broker": (template) => {
    const { SecurityGroupIngress, SecurityGroupEgress } = template.Resources["MachineSecurityGroup"]?.Properties ?? {};
    const added = Object.entries(template.Resources).filter(
      ([, { Type, Properties }]) =>
        /^AWS::EC2::SecurityGroup(?:Ingress|Egress)$/.test(Type) &&
        mentions(Properties.GroupId, "MachineSecurityGroup"),
    );
    return [
      ...unless(same(SecurityGroupIngress, []), "ingress"),
      ...unless(same(SecurityGroupEgress?.map(destination).sort(byText), brokerDoors(template)), "egress"),
      ...added.map(([id]) => id),
    ];
  },
  "the machines' ACL says the same": (template) => {
    const entries = all(template, "AWS::EC2::NetworkAclEntry").map(([, entry]) => entry);
    const addresses = brokerAddresses(template);
    const out = entries.filter(({ Egress }) => Egress).map((entry) => `${entry.CidrBlock}:${range(entry.PortRange)}`);
    const back = entries.filter(({ Egress }) => !Egress).map((entry) => `${entry.CidrBlock}:${range(entry.PortRange)}`);
    return [
      ...unless(same(out.sort(byText), brokerDoors(template)), "out"),
      ...unless(same(back.sort(byText), addresses.map((address) => `${address}/32:1024-65535`).sort()), "in"),
      ...unless(
        entries.every(({ Protocol, RuleAction }) => Protocol === 6 && RuleAction === "allow"),
        "protocol",
      ),
    ];
  },
};
