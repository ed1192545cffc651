import {
  byText,
  denials,
  isWild,
  machineTemplate,
  mentions,
  same,
  statements,
  unless,
  type Json,
  type Rules,
} from "./template.fixture.ts";

/** Rules of machines: what one gets, how it is launched, known again and ended. */
export const machineRules: Rules = {
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
};

/** The service's fleet and that of its trials, and nobody else's. */
function isOurs(tag: unknown): boolean {
  return same(tag, ["mayfly", "mayfly-verify"]);
}
