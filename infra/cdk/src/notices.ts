import { Duration } from "aws-cdk-lib";
import { type EventPattern, Rule } from "aws-cdk-lib/aws-events";
import { SqsQueue } from "aws-cdk-lib/aws-events-targets";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { acknowledge } from "./acknowledge.ts";

/** A spot machine is gone two minutes after its warning: what is older says nothing that the listing does not. */
const KEPT = Duration.minutes(5);

/** Events do not say what tags an instance has: those of other instances come too, and are thrown away. */
const told: Readonly<Record<string, EventPattern>> = {
  SpotWarnings: { source: ["aws.ec2"], detailType: ["EC2 Spot Instance Interruption Warning"] },
  EndedInstances: {
    source: ["aws.ec2"],
    detailType: ["EC2 Instance State-change Notification"],
    detail: { state: ["shutting-down", "terminated"] },
  },
};

/** A queue with EC2's events of instances that are taken back or have ended, for whichever host asks first. */
export function addNotices(scope: Construct): Queue {
  const queue = new Queue(scope, "Notices", {
    // By SQS's own key: EventBridge needs no right to it.
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: KEPT,
  });
  acknowledge(
    queue,
    "AwsSolutions-SQS3",
    "A notice that cannot be followed is worth nothing minutes later: the listing of machines says the same",
  );
  for (const [id, eventPattern] of Object.entries(told)) {
    new Rule(scope, id, { eventPattern, targets: [new SqsQueue(queue)] });
  }
  return queue;
}

/** To take notices out of the queue. Nobody but EventBridge may put any in. */
export function noticeRights(queue: Queue): PolicyStatement[] {
  return [
    new PolicyStatement({
      sid: "TakeNotices",
      actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
      resources: [queue.queueArn],
    }),
  ];
}
