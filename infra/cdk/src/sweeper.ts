import { AssetHashType, Duration, type Stack } from "aws-cdk-lib";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Code, Function as Lambda, Runtime } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { acknowledge } from "./acknowledge.ts";
import type { Parameters } from "./parameters.ts";
import { retentionOf } from "./retention.ts";
import { endRights } from "./rights.ts";
import { bundleSweeper, sweeperSource } from "./sweeper-bundle.ts";

/** Machines end themselves at their deadline, so this finds something only where more than one thing failed. */
const EVERY = Duration.minutes(10);
const TIMEOUT = Duration.minutes(2);

export interface Sweeper {
  readonly lambda: Lambda;
  readonly logs: LogGroup;
}

/**
 * Ends what has outlived its deadline, from tags alone: no database, no network of ours, no part of the service, and a
 * role that can end this fleet's things and look.
 */
export function addSweeper(scope: Construct, { stack, parameters }: { stack: Stack; parameters: Parameters }): Sweeper {
  const logs = new LogGroup(scope, "SweeperLogs", { retention: retentionOf(parameters) });
  const role = new Role(scope, "SweeperRole", { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
  for (const statement of endRights({ stack, parameters })) {
    role.addToPolicy(statement);
  }
  role.addToPolicy(
    new PolicyStatement({
      sid: "WriteLog",
      actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
      resources: [logs.logGroupArn],
    }),
  );
  for (const kind of ["instance", "volume", "network-interface"]) {
    acknowledge(
      role,
      `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ec2:${parameters.region}:<AWS::AccountId>:${kind}/*]`,
      "What it has to end has no name before; the statement is bound to the fleet's tag",
    );
  }
  acknowledge(role, "AwsSolutions-IAM5[Resource::*]", "Describe calls know no resource, and are bound to the region");
  const lambda = new Lambda(scope, "Sweeper", {
    runtime: Runtime.NODEJS_24_X,
    handler: "index.handler",
    code: Code.fromAsset(sweeperSource, {
      assetHashType: AssetHashType.OUTPUT,
      // The image is what CDK would use if the line below did not do it: it always does.
      bundling: { image: Runtime.NODEJS_24_X.bundlingImage, local: { tryBundle: bundleSweeper } },
    }),
    role,
    logGroup: logs,
    timeout: TIMEOUT,
    // One at a time: two would do the same work.
    reservedConcurrentExecutions: 1,
    environment: { FLEET: parameters.name },
  });
  new Rule(scope, "SweeperSchedule", { schedule: Schedule.rate(EVERY), targets: [new LambdaFunction(lambda)] });
  return { lambda, logs };
}
