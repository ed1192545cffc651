import { App, CfnOutput, Stack, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { addCache } from "./cache.ts";
import { addDoors } from "./doors.ts";
import { addImagePublisher } from "./image-publisher.ts";
import { addLaunchTemplate } from "./machines.ts";
import { addNetwork } from "./network.ts";
import { addNotices } from "./notices.ts";
import type { Parameters } from "./parameters.ts";
import { addService } from "./service.ts";
import { addAppKey, addSecrets, addState } from "./state.ts";
import { addSweeper } from "./sweeper.ts";
import { DEPLOYMENT_TAG } from "./tags.ts";
import { addAlarmTopic, addWatch } from "./watch.ts";

export interface MayflyApp {
  readonly app: App;
  /** The role that publishes machine images. Deployed first, since the other stack needs an image. */
  readonly images: Stack;
  /** Everything else. */
  readonly mayfly: Stack;
}

/**
 * The whole deployment, checked by cdk-nag when it is synthesised: a finding without a written reason is an error there.
 * Reads nothing from the account: zones and account number are CloudFormation's to fill in.
 */
export function buildApp({ parameters, outdir }: { parameters: Parameters; outdir: string }): MayflyApp {
  const app = new App({ outdir, analyticsReporting: false });
  const { name, region } = parameters;
  const images = new Stack(app, "MayflyImages", {
    stackName: `${name}-images`,
    description: "Mayfly: who may publish machine images",
    env: { region },
  });
  output(images, "ImagePublisherRole", addImagePublisher(images, parameters).roleArn);
  const mayfly = new Stack(app, "Mayfly", {
    stackName: name,
    description: "Mayfly: the service, and the network that its machines run in",
    env: { region },
    terminationProtection: true,
  });
  fill(mayfly, parameters);
  Tags.of(app).add(DEPLOYMENT_TAG, name);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return { app, images, mayfly };
}

function fill(stack: Stack, parameters: Parameters): void {
  const network = addNetwork(stack, parameters);
  const template = addLaunchTemplate(stack, { parameters, network: network.machines });
  const alarms = addAlarmTopic(stack, parameters);
  const cache = addCache(stack, { parameters, network });
  const state = addState(stack, network);
  const secrets = addSecrets(stack, parameters);
  const appKey = parameters.appKeyInKms ? addAppKey(stack, parameters) : null;
  const notices = addNotices(stack);
  const service = addService(stack, {
    stack,
    notices,
    parameters,
    network,
    template,
    cache,
    state,
    secrets,
    appKey,
    alarms,
  });
  const doors = addDoors(stack, { parameters, network, service });
  const sweeper = addSweeper(stack, { stack, parameters });
  addWatch(stack, { parameters, network, cache, doors, sweeper, alarms });
  output(stack, "WebhookHost", doors.webhook.loadBalancerDnsName);
  output(
    stack,
    "BrokerAddresses",
    network.broker.map(({ address }) => `${address}:${parameters.brokerPort}`).join(" "),
  );
}

function output(stack: Stack, id: string, value: string): void {
  new CfnOutput(stack, id, { value });
}
