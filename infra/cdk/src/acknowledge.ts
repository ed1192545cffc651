import { Validations } from "aws-cdk-lib";
import type { IConstruct } from "constructs";

/** Lets one finding of cdk-nag stand, at this construct alone and for a written reason. */
export function acknowledge(scope: IConstruct, id: `AwsSolutions-${string}`, reason: string): void {
  Validations.of(scope).acknowledge({ id, reason });
}
