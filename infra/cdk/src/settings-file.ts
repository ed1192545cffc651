import { Fn } from "aws-cdk-lib";
import type { CfnLaunchTemplate } from "aws-cdk-lib/aws-ec2";
import type { CfnKey } from "aws-cdk-lib/aws-kms";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Network } from "./network.ts";
import type { Parameters } from "./parameters.ts";

/** Where the load balancer finds the service. */
export const WEBHOOK_PORT = 3000;
/** What all hosts mount; the state folder beside it is each host's own. */
export const SHARED_FOLDER = "/var/lib/mayfly-shared";

/** As docs/operations/roles.md has them. */
export type Role = "intake" | "worker" | "broker" | "web";

/**
 * The service's settings file as this deployment has it, JSON and so YAML as well. No secret is in it: those come by the
 * environment (infra/systemd/aws).
 */
export function settingsFile(options: {
  parameters: Parameters;
  network: Network;
  template: CfnLaunchTemplate;
  notices: Queue;
  appKey: CfnKey | null;
  /** The host's; null for every role. */
  roles: readonly Role[] | null;
}): string {
  const { parameters, network, template, notices, appKey, roles } = options;
  const isWorker = roles?.includes("worker") ?? true;
  // Parts that are known after the deployment alone are put in as CloudFormation's own text.
  return JSON.stringify(
    {
      state_dir: "/var/lib/mayfly",
      shared_dir: SHARED_FOLDER,
      ...(roles === null ? {} : { roles }),
      ...(isWorker ? { github: { app_id: parameters.githubAppId, ...keyOf(appKey) } } : {}),
      listen: {
        webhook: { host: "0.0.0.0", port: WEBHOOK_PORT },
        machines: { host: "0.0.0.0", port: parameters.brokerPort },
      },
      fleet: {
        provider: "ec2",
        machines_max: parameters.machinesMax,
        ec2: {
          name: parameters.name,
          region: parameters.region,
          launch_template: template.attrLaunchTemplateId,
          launch_template_version: "@version@",
          image_digest: parameters.machineImageDigest,
          subnets: "@subnets@",
          instance_types: parameters.machineInstanceTypes,
          notices_queue: notices.queueUrl,
        },
      },
    },
    null,
    2,
  )
    .replace('"@version@"', template.attrLatestVersionNumber)
    .replace('"@subnets@"', `["${Fn.join('", "', [...network.machines.subnetIds])}"]`);
}

function keyOf(appKey: CfnKey | null) {
  return appKey === null ? { private_key_file: "/run/mayfly-secrets/app.pem" } : { kms_key: appKey.attrArn };
}
