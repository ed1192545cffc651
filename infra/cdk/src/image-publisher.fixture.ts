import { App, Stack } from "aws-cdk-lib";
import { addImagePublisher } from "./image-publisher.ts";
import { someParameters } from "./parameters.fixture.ts";

interface Policy {
  readonly Properties?: { readonly PolicyDocument?: { readonly Statement: readonly { Action: string | string[] }[] } };
}

/** What whoever publishes images may ask of EC2 and EBS, by name. */
export function publisherActions(outdir: string): readonly string[] {
  const app = new App({ outdir });
  addImagePublisher(new Stack(app, "Stack"), someParameters({}));
  const template = app.synth().getStackArtifact("Stack").template as { Resources: Record<string, Policy> };
  const actions = Object.values(template.Resources)
    .flatMap(({ Properties: properties }) => properties?.PolicyDocument?.Statement ?? [])
    .flatMap(({ Action: action }) => action);
  return [...new Set(actions)];
}
