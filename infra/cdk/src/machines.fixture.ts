import { App, Stack } from "aws-cdk-lib";
import { addLaunchTemplate } from "./machines.ts";
import { addNetwork } from "./network.ts";
import { addNotices } from "./notices.ts";
import { someParameters } from "./parameters.fixture.ts";
import { endRights, launchRights, readRights } from "./rights.ts";
import { settingsFile } from "./settings-file.ts";
import { addAppKey } from "./state.ts";
import { machineTemplate, type Json, type Template } from "./template.fixture.ts";

/** What CloudFormation puts in, made up. */
const made: Readonly<Record<string, string>> = {
  Notices: "https://sqs.eu-central-1.amazonaws.com/111122223333/notices",
  "AppKey.Arn": "arn:aws:kms:eu-central-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
  "MachineTemplate.LaunchTemplateId": "lt-0123456789abcdef0",
  "MachineTemplate.LatestVersionNumber": "7",
  "MachineSubnet0.SubnetId": "subnet-0123456789abcdef0",
  "MachineSubnet1.SubnetId": "subnet-0123456789abcdef1",
};

/** What machines are made from, without the rest of the deployment. */
export interface Machines {
  /** As CloudFormation would make it. */
  readonly launchTemplate: Json;
  /** The service's settings file. */
  readonly settings: string;
  /** That of a host that only takes webhooks and answers operators. */
  readonly frontSettings: string;
  /** What a host may ask of EC2, by name. */
  readonly actions: readonly string[];
}

export function synthesizeMachines(outdir: string, { appKeyInKms = false } = {}): Machines {
  // No default of the service's, so that it is seen to be written down.
  const parameters = someParameters({ brokerPort: 9443, appKeyInKms });
  const app = new App({ outdir });
  const stack = new Stack(app, "Stack");
  const network = addNetwork(stack, parameters);
  const appKey = appKeyInKms ? addAppKey(stack, parameters) : null;
  const template = addLaunchTemplate(stack, { parameters, network: network.machines });
  const parts = { parameters, network, template, notices: addNotices(stack), appKey };
  const settingsOf = (roles: Parameters<typeof settingsFile>[0]["roles"]) =>
    fill(stack.resolve(settingsFile({ ...parts, roles })));
  const settings = settingsOf(null);
  const frontSettings = settingsOf(["intake", "web"]);
  const fleet = { stack, parameters, template, network: network.machines };
  const actions = [launchRights, endRights, readRights].flatMap((rights) =>
    rights(fleet).flatMap((statement) => statement.actions),
  );
  return {
    launchTemplate: machineTemplate(app.synth().getStackArtifact("Stack").template as Template),
    settings,
    frontSettings,
    actions: [...new Set(actions)],
  };
}

function fill(value: Json): string {
  if (typeof value === "string") {
    return value;
  }
  const [separator, parts] = value["Fn::Join"] ?? ["", []];
  const attribute = value["Fn::GetAtt"]?.join(".") ?? value.Ref?.replace(/[0-9A-F]{8}$/, "");
  return attribute === undefined ? parts.map(fill).join(separator) : (made[attribute] ?? `(${attribute})`);
}
