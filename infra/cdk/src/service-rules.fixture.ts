import {
  all,
  brokerAddresses,
  denials,
  list,
  mentions,
  one,
  policies,
  same,
  statements,
  unless,
  type Json,
  type Rules,
} from "./template.fixture.ts";

/** Rules of what runs the machines: its roles, secrets, doors, hosts and records. */
export const serviceRules: Rules = {
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
