import {
  all,
  brokerAddresses,
  brokerDoors,
  brokerSubnets,
  byText,
  denials,
  destination,
  isAssociated,
  isWild,
  list,
  machineTemplate,
  machineVpc,
  mentions,
  one,
  policies,
  range,
  same,
  statements,
  unless,
  type Json,
  type Template,
} from "./template.fixture.ts";

/** What must hold of a template, each rule by itself, so that a test can see that each can fail. They answer with what breaks it. */
export const rules: Readonly<Record<string, (template: Template) => string[]>> = {
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
  "a machine gets the image and nothing else": (template) => {
    const data = machineTemplate(template);
    const forbidden = ["UserData", "IamInstanceProfile", "KeyName", "SecurityGroupIds", "SecurityGroups"];
    return [
      ...forbidden.filter((name) => data[name] !== undefined),
      ...unless(data.MetadataOptions?.HttpEndpoint === "disabled", "metadata"),
      ...unless(data.InstanceInitiatedShutdownBehavior === "terminate", "shutdown"),
      ...unless(data.MaintenanceOptions?.AutoRecovery === "disabled", "recovery"),
    ];
  },
  "a machine has one interface, without a public address, that goes with it": (template) => {
    const interfaces = machineTemplate(template).NetworkInterfaces ?? [];
    return unless(
      interfaces.length === 1 &&
        interfaces.every(
          (one: Json) =>
            one.AssociatePublicIpAddress === false &&
            !Object.keys(one).some((key) => key.startsWith("Ipv6")) &&
            one.DeleteOnTermination === true &&
            one.Groups.length === 1 &&
            mentions(one.Groups[0], "MachineSecurityGroup"),
        ),
      "interfaces",
    );
  },
  "a machine's disks are encrypted gp3, filled at a rate, and go with it": (template) => {
    const disks = machineTemplate(template).BlockDeviceMappings ?? [];
    return unless(
      disks.length > 0 &&
        disks.every(
          ({ Ebs }: Json) =>
            Ebs.Encrypted === true &&
            Ebs.VolumeType === "gp3" &&
            Ebs.DeleteOnTermination === true &&
            Ebs.VolumeInitializationRate >= 100,
        ),
      "disks",
    );
  },
  "the fleet's tag is on what a launch makes and on nothing else": (template) => {
    const made = (machineTemplate(template).TagSpecifications ?? []) as Json[];
    const tagged = made
      .filter(({ Tags }) => JSON.stringify(Tags).includes("mayfly:fleet"))
      .map((one) => one.ResourceType);
    const others = Object.entries(template.Resources).filter(
      ([id, { Type, Properties }]) =>
        id !== "MachineTemplate" && Type !== "AWS::IAM::Policy" && JSON.stringify(Properties).includes("mayfly:fleet"),
    );
    return [
      ...unless(same(tagged.sort(byText), ["instance", "network-interface", "volume"]), "not on all"),
      ...others.map(([id]) => id),
    ];
  },
  "a launch makes only machines of the template, tagged": (template) =>
    statements(template, "HostRole", "ec2:RunInstances").flatMap((statement) => {
      const made = /:(instance|volume|network-interface)\/\*/.exec(JSON.stringify(statement.Resource))?.[1];
      if (made === undefined) {
        return unless(!isWild(statement.Resource, /spot-instances-request\/\*"/), statement.Sid);
      }
      const { ArnEquals, StringEquals, Null, Bool } = statement.Condition ?? {};
      return [
        ...unless(mentions(ArnEquals?.["ec2:LaunchTemplate"], "MachineTemplate"), `${made}: template`),
        ...unless(isOurs(StringEquals?.["aws:RequestTag/mayfly:fleet"]), `${made}: tag`),
        ...(made === "instance"
          ? unless(
              StringEquals?.["ec2:MetadataHttpEndpoint"] === "disabled" && Null?.["ec2:InstanceProfile"] === "true",
              "instance: metadata or profile",
            )
          : []),
        ...(made === "volume" ? unless(Bool?.["ec2:Encrypted"] === "true", "volume: encrypted") : []),
        ...(made === "network-interface"
          ? unless(Bool?.["ec2:AssociatePublicIpAddress"] === "false", "interface: address")
          : []),
      ];
    }),
  "a fleet request carries the fleet's tag": (template) =>
    statements(template, "HostRole", "ec2:CreateFleet")
      .filter(({ Resource }) => JSON.stringify(Resource).includes(":fleet/*"))
      .flatMap(({ Condition }) =>
        unless(isOurs(Condition?.StringEquals?.["aws:RequestTag/mayfly:fleet"]), "CreateFleet"),
      ),
  "tags are set while something is made and never later": (template) => [
    ...statements(template, "", "ec2:CreateTags").flatMap(({ Sid, Condition }) =>
      unless(Condition?.StringEquals?.["ec2:CreateAction"] !== undefined, Sid),
    ),
    ...unless(
      denials(template).some(
        ({ Action, Condition }) =>
          Action.includes("ec2:CreateTags") && Condition?.Null?.["ec2:CreateAction"] === "true",
      ),
      "not denied",
    ),
    ...unless(
      denials(template).some(({ Action }) => Action.includes("ec2:DeleteTags")),
      "DeleteTags not denied",
    ),
  ],
  "only what carries the fleet's tag can be ended": (template) =>
    ["", "SweeperRole", "HostRole"].flatMap((role) => {
      const ending = ["ec2:TerminateInstances", "ec2:DeleteVolume", "ec2:DeleteNetworkInterface"].flatMap((action) =>
        statements(template, role, action),
      );
      return [
        ...unless(ending.length >= 3, `${role} cannot end`),
        ...ending.flatMap(({ Sid, Condition }) =>
          unless(isOurs(Condition?.StringEquals?.["aws:ResourceTag/mayfly:fleet"]), `${role} ${Sid}`),
        ),
      ];
    }),
  "no role can be passed on, and none has a right to everything": (template) => {
    const allowed = policies(template, "").filter(({ Effect }) => Effect === "Allow");
    const passing = allowed.filter(({ Action }) =>
      list(Action).some((action) => /^(?:iam:|\*|[a-z0-9-]+:\*)/.test(action)),
    );
    const wild = allowed.filter(
      ({ Action, Resource, Condition }) =>
        list(Resource).includes("*") &&
        (Condition?.StringEquals?.["aws:RequestedRegion"] === undefined ||
          list(Action).some((action) => !action.startsWith("ec2:Describe"))),
    );
    const denied = denials(template).some(({ Action }) => Action.includes("iam:PassRole"));
    return [...[...passing, ...wild].map(({ Sid }) => `${Sid}`), ...unless(denied, "iam:PassRole not denied")];
  },
  "the sweeper ends, looks and logs, and does nothing else": (template) => {
    const mayDo =
      /^(?:ec2:(?:Describe\w+|TerminateInstances|DeleteVolume|DeleteNetworkInterface)|logs:(?:CreateLogStream|PutLogEvents))$/;
    const actions = policies(template, "SweeperRole").flatMap(({ Action }) => list(Action));
    const { Properties } = one(template, "AWS::Lambda::Function");
    return [
      ...unless(actions.length > 0, "no rights"),
      ...actions.filter((action) => !mayDo.test(action)),
      ...unless(Properties.VpcConfig === undefined && mentions(Properties.Role, "SweeperRole"), "its role"),
      ...unless(
        one(template, "AWS::Events::Rule", "Sweeper").Properties.ScheduleExpression === "rate(10 minutes)",
        "schedule",
      ),
    ];
  },
  "notices come from EC2 by EventBridge alone, encrypted, and only hosts take them": (template) => {
    const queue = one(template, "AWS::SQS::Queue", "Notices").Properties;
    const into = one(template, "AWS::SQS::QueuePolicy", "Notices").Properties.PolicyDocument?.Statement ?? [];
    const [letIn, keptOut] = ["Allow", "Deny"].map((effect) => into.filter((one: Json) => one.Effect === effect));
    const events = all(template, "AWS::Events::Rule").filter(([, { Targets }]) => mentions(Targets, "Notices"));
    const takers = statements(template, "", "sqs:ReceiveMessage");
    return [
      ...unless(queue.SqsManagedSseEnabled === true && queue.MessageRetentionPeriod <= 300, "queue"),
      ...unless(
        letIn.length === events.length &&
          letIn.every(
            (one: Json) =>
              one.Principal?.Service === "events.amazonaws.com" &&
              mentions(one.Condition?.ArnEquals?.["aws:SourceArn"], "(?:SpotWarnings|EndedInstances)"),
          ),
        "who puts",
      ),
      ...unless(
        keptOut.some((one: Json) => one.Condition?.Bool?.["aws:SecureTransport"] === "false"),
        "plain connections",
      ),
      ...unless(
        events.length === 2 && events.every(([, { EventPattern }]) => same(EventPattern.source, ["aws.ec2"])),
        "events",
      ),
      ...unless(takers.length === 1 && mentions(takers[0].Resource, "Notices"), "who takes"),
      ...statements(template, "", "sqs:SendMessage").map(({ Sid }) => `${Sid}`),
    ];
  },
  "records are encrypted, need a token, and are never evicted": (template) => {
    const cache = one(template, "AWS::ElastiCache::ReplicationGroup").Properties;
    const settings = one(template, "AWS::ElastiCache::ParameterGroup").Properties.Properties;
    return [
      ...unless(cache.TransitEncryptionEnabled === true && cache.TransitEncryptionMode === "required", "TLS"),
      ...unless(cache.AtRestEncryptionEnabled === true, "at rest"),
      ...unless(JSON.stringify(cache.AuthToken ?? "").includes("{{resolve:secretsmanager:"), "token"),
      ...unless(cache.MultiAZEnabled === true && cache.AutomaticFailoverEnabled === true, "two zones"),
      ...unless(cache.Engine === "valkey" && settings["maxmemory-policy"] === "noeviction", "noeviction"),
    ];
  },
  "no secret is in the template": (template) => [
    ...all(template, "AWS::SecretsManager::Secret")
      .filter(([, { SecretString }]) => SecretString !== undefined)
      .map(([id]) => id),
    ...Object.entries(template.Resources)
      .filter(([id, { Properties }]) => id !== "Cache" && JSON.stringify(Properties ?? "").includes("{{resolve:"))
      .map(([id]) => id),
  ],
  "the App's key signs and does nothing else": (template) => {
    const { Properties } = one(template, "AWS::KMS::Key");
    const uses = statements(template, "HostRole", "kms:Sign");
    const others = policies(template, "").flatMap(({ Action }) =>
      list(Action).filter((action) => action.startsWith("kms:") && !["kms:Sign", "kms:GetPublicKey"].includes(action)),
    );
    const looks = statements(template, "HostRole", "kms:GetPublicKey");
    const isBound = uses[0]?.Condition?.StringEquals?.["kms:SigningAlgorithm"] === "RSASSA_PKCS1_V1_5_SHA_256";
    const settings = JSON.stringify(one(template, "AWS::EC2::LaunchTemplate", "HostTemplate"));
    return [
      ...unless(
        Properties.KeySpec === "RSA_2048" && Properties.KeyUsage === "SIGN_VERIFY" && Properties.Origin === "EXTERNAL",
        "kind",
      ),
      ...unless(uses.length === 1 && isBound && mentions(uses[0].Resource, "AppKey"), "who signs"),
      ...unless(looks.length === 1 && mentions(looks[0].Resource, "AppKey"), "who looks"),
      ...unless(settings.includes("kms_key") && !/private_key_file|app\.pem/.test(settings), "settings"),
      ...unless(
        all(template, "AWS::SecretsManager::Secret").every(([id]) => !id.includes("appkey")),
        "a secret as well",
      ),
      ...others,
    ];
  },
  "from outside nothing comes in but webhooks over TLS": (template) => {
    const outer = all(template, "AWS::ElasticLoadBalancingV2::LoadBalancer").filter(
      ([, { Scheme }]) => Scheme !== "internal",
    );
    const listeners = all(template, "AWS::ElasticLoadBalancingV2::Listener")
      .map(([, properties]) => properties)
      .filter(({ LoadBalancerArn }) => outer.some(([id]) => mentions(LoadBalancerArn, id)));
    const rule = one(template, "AWS::ElasticLoadBalancingV2::ListenerRule").Properties.Conditions;
    const open = Object.entries(template.Resources).filter(
      ([, { Type, Properties }]) =>
        Type.startsWith("AWS::EC2::SecurityGroup") &&
        [...(Properties.SecurityGroupIngress ?? []), ...(Type.endsWith("Ingress") ? [Properties] : [])].some(
          ({ CidrIp, CidrIpv6 }: Json) => CidrIp === "0.0.0.0/0" || CidrIpv6 === "::/0",
        ),
    );
    return [
      ...unless(outer.length === 1, "load balancers"),
      ...unless(listeners.length === 1 && listeners[0].Protocol === "HTTPS" && listeners[0].Port === 443, "listener"),
      ...unless(/TLS13/.test(listeners[0]?.SslPolicy), "TLS"),
      ...unless(listeners[0]?.DefaultActions[0].FixedResponseConfig?.StatusCode === "404", "default"),
      ...unless(
        same(rule[0].PathPatternConfig?.Values, ["/webhook"]) &&
          same(rule[1].HttpRequestMethodConfig?.Values, ["POST"]),
        "rule",
      ),
      ...open.map(([id]) => id),
    ];
  },
  "the broker's door is inside, has fixed addresses and shows the machine's own": (template) => {
    const [id, door] = all(template, "AWS::ElasticLoadBalancingV2::LoadBalancer").find(
      ([, { Type }]) => Type === "network",
    ) ?? ["", {}];
    const targets = all(template, "AWS::ElasticLoadBalancingV2::TargetGroup").find(
      ([, { Protocol }]) => Protocol === "TCP",
    )?.[1];
    const listener = all(template, "AWS::ElasticLoadBalancingV2::Listener").find(([, { LoadBalancerArn }]) =>
      mentions(LoadBalancerArn, id),
    )?.[1];
    const attribute = (list: Json[], key: string) => list?.find(({ Key }) => Key === key)?.Value;
    return [
      ...unless(door.Scheme === "internal" && brokerAddresses(template).length === 2, "addresses"),
      ...unless(attribute(targets?.TargetGroupAttributes, "preserve_client_ip.enabled") === "true", "client address"),
      ...unless(attribute(door.LoadBalancerAttributes, "load_balancing.cross_zone.enabled") === "true", "zones"),
      ...unless(listener?.Protocol === "TCP", "TLS ends too early"),
    ];
  },
  "hosts have no public address, an encrypted disk and metadata by token": (template) => {
    const data = one(template, "AWS::EC2::LaunchTemplate", "HostTemplate").Properties.LaunchTemplateData;
    return [
      ...unless(
        data.MetadataOptions.HttpTokens === "required" && data.MetadataOptions.HttpPutResponseHopLimit === 1,
        "metadata",
      ),
      ...unless(data.NetworkInterfaces[0].AssociatePublicIpAddress === false, "address"),
      ...unless(
        data.BlockDeviceMappings.every(({ Ebs }: Json) => Ebs.Encrypted === true && Ebs.DeleteOnTermination === true),
        "disk",
      ),
      ...unless(data.KeyName === undefined, "key pair"),
    ];
  },
  "two hosts in two zones, replaced by EC2's own checks alone": (template) => {
    const group = one(template, "AWS::AutoScaling::AutoScalingGroup").Properties;
    return [
      ...unless(group.MinSize === "2" && group.MaxSize === "2" && group.VPCZoneIdentifier.length === 2, "two"),
      ...unless(group.HealthCheckType === "EC2", "health"),
    ];
  },
  "the state folder is encrypted, refuses plain connections, and outlives the stack": (template) => {
    const files = one(template, "AWS::EFS::FileSystem");
    const [statement, ...others] = files.Properties.FileSystemPolicy?.Statement ?? [];
    return [
      ...unless(files.Properties.Encrypted === true, "encrypted"),
      ...unless(
        statement?.Effect === "Deny" &&
          statement.Condition.Bool["aws:SecureTransport"] === "false" &&
          others.length === 0,
        "policy",
      ),
      ...unless((files as Json).DeletionPolicy === "Retain", "kept"),
    ];
  },
  "every alarm tells somebody, and money has a budget": (template) => [
    ...all(template, "AWS::CloudWatch::Alarm")
      .filter(([, { AlarmActions }]) => !mentions(AlarmActions, "Alarms"))
      .map(([id]) => id),
    ...unless(all(template, "AWS::CloudWatch::Alarm").length >= 9, "too few"),
    ...unless(one(template, "AWS::Budgets::Budget").Properties.NotificationsWithSubscribers.length === 4, "budget"),
    ...unless(all(template, "AWS::CloudWatch::Dashboard").length === 1, "dashboard"),
  ],
};

/** The rules that a template breaks, by name. */
export function brokenRules(template: Template): string[] {
  return Object.entries(rules).flatMap(([name, check]) => check(template).map((what) => `${name}: ${what}`));
}

/** The service's fleet and that of its trials, and nobody else's. */
function isOurs(tag: unknown): boolean {
  return same(tag, ["mayfly", "mayfly-verify"]);
}
