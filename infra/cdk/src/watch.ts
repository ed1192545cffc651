import { Duration } from "aws-cdk-lib";
import { CfnBudget } from "aws-cdk-lib/aws-budgets";
import {
  Alarm,
  ComparisonOperator,
  Dashboard,
  GraphWidget,
  type IMetric,
  Metric,
  Stats,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { HttpCodeElb, HttpCodeTarget } from "aws-cdk-lib/aws-elasticloadbalancingv2";
import { FilterPattern, type LogGroup, MetricFilter } from "aws-cdk-lib/aws-logs";
import { Topic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import type { Construct } from "constructs";
import type { Cache } from "./cache.ts";
import type { Doors } from "./doors.ts";
import type { Network } from "./network.ts";
import type { Parameters } from "./parameters.ts";
import type { Sweeper } from "./sweeper.ts";
import { DEPLOYMENT_TAG } from "./tags.ts";

const NAMESPACE = "Mayfly";
const MINUTE = Duration.minutes(1);
const FIVE_MINUTES = Duration.minutes(5);
/** Percent of the cache's memory. With `noeviction` a full one refuses every write. */
const CACHE_FULL_PERCENT = 70;
/** Packets to anywhere but the broker in five minutes. An idle machine sends none; a few are a run that looked round. */
const REJECTED_MAX = 100;
/** One line of a flow log, as AWS writes it unless told otherwise. */
const flowLogFields =
  "version account interface source destination sourcePort destinationPort protocol packets bytes start end action status".split(
    " ",
  );
const BUDGET_PERCENTS = [50, 80, 100];

export interface Watched {
  readonly parameters: Parameters;
  readonly network: Network;
  readonly cache: Cache;
  readonly doors: Doors;
  readonly sweeper: Sweeper;
  readonly alarms: Topic;
}

/** Where alarms go, by mail to one address. Only over TLS. */
export function addAlarmTopic(scope: Construct, { alarmEmail, name }: Parameters): Topic {
  const topic = new Topic(scope, "Alarms", { displayName: `Mayfly ${name}`, enforceSSL: true });
  topic.addSubscription(new EmailSubscription(alarmEmail));
  return topic;
}

/** What shows that something is wrong, each with what to look at. The service has no metrics of its own yet. */
export function addWatch(scope: Construct, watched: Watched): void {
  const { parameters, network, doors, sweeper } = watched;
  const swept = countOf(scope, "Swept", {
    group: sweeper.logs,
    pattern: FilterPattern.stringValue("$.msg", "=", "swept"),
    value: "$.total",
  });
  const rejected = countOf(scope, "Rejected", {
    group: network.flowLogs,
    pattern: FilterPattern.spaceDelimited(...flowLogFields).whereString(
      "source",
      "=",
      `${machinePrefix(parameters.machineCidr)}*`,
    ),
    value: "$packets",
  });
  const cacheMetrics = cacheMetricsOf(watched.cache);
  addAlarms(scope, { ...watched, swept, rejected, cacheMetrics });
  new Dashboard(scope, "Dashboard", {
    dashboardName: parameters.name,
    widgets: [
      [
        graph("Webhooks", [doors.webhook.metrics.requestCount({ period: MINUTE }), webhookErrors(doors)]),
        graph("Hosts that answer", [
          doors.webhookTargets.metrics.healthyHostCount({ period: MINUTE }),
          doors.brokerTargets.metrics.healthyHostCount({ period: MINUTE }),
        ]),
        graph("Connections of machines", [doors.broker.metrics.activeFlowCount({ period: MINUTE })]),
      ],
      [
        graph("Cache memory, %", cacheMetrics),
        graph("Ended by the sweeper", [swept, sweeper.lambda.metricErrors({ period: FIVE_MINUTES })]),
        graph("Packets of machines that went nowhere", [rejected]),
      ],
    ],
  });
  addBudget(scope, watched);
}

/** The machines' network is a /20: its first two numbers and what they begin with tell it from the service's. */
function machinePrefix(cidr: string): string {
  return `${cidr.split(".").slice(0, 2).join(".")}.`;
}

function countOf(
  scope: Construct,
  metricName: string,
  { group, pattern, value }: { group: LogGroup; pattern: ReturnType<typeof FilterPattern.literal>; value: string },
): Metric {
  const filter = new MetricFilter(scope, `Count${metricName}`, {
    logGroup: group,
    filterPattern: pattern,
    metricNamespace: NAMESPACE,
    metricName,
    metricValue: value,
  });
  return filter.metric({ statistic: Stats.SUM, period: FIVE_MINUTES });
}

function cacheMetricsOf({ nodes }: Cache): Metric[] {
  return nodes.map(
    (node) =>
      new Metric({
        namespace: "AWS/ElastiCache",
        metricName: "DatabaseMemoryUsagePercentage",
        dimensionsMap: { CacheClusterId: node },
        statistic: Stats.MAXIMUM,
        period: FIVE_MINUTES,
      }),
  );
}

function webhookErrors({ webhook }: Doors): Metric {
  return webhook.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, { period: FIVE_MINUTES });
}

interface Alarmed extends Watched {
  readonly swept: Metric;
  readonly rejected: Metric;
  readonly cacheMetrics: readonly Metric[];
}

function addAlarms(scope: Construct, watched: Alarmed): void {
  const { doors, sweeper, alarms, swept, rejected, cacheMetrics } = watched;
  const noHost = { threshold: 1, comparison: ComparisonOperator.LESS_THAN_THRESHOLD, missing: true, periods: 5 };
  const any = { threshold: 0 };
  const wanted: [string, string, Metric, Threshold][] = [
    [
      "NoWebhook",
      "No host takes webhooks: look at mayfly.service on both. GitHub's are fetched later",
      doors.webhookTargets.metrics.healthyHostCount({ period: MINUTE, statistic: Stats.MAXIMUM }),
      noHost,
    ],
    [
      "NoBroker",
      "No host answers machines: their runs stand still",
      doors.brokerTargets.metrics.healthyHostCount({ period: MINUTE, statistic: Stats.MAXIMUM }),
      noHost,
    ],
    [
      "WebhookErrors",
      "The service refuses webhooks, most likely since the cache cannot take them",
      webhookErrors(doors),
      any,
    ],
    [
      "WebhookUnreachable",
      "The load balancer has nobody to give webhooks to",
      doors.webhook.metrics.httpCodeElb(HttpCodeElb.ELB_5XX_COUNT, { period: FIVE_MINUTES }),
      any,
    ],
    ["Swept", "The sweeper had to end something: neither the machine nor the service did", swept, any],
    ["SweeperFailed", "The sweeper failed: see its log", sweeper.lambda.metricErrors({ period: FIVE_MINUTES }), any],
    [
      "SweeperSilent",
      "The sweeper did not run for half an hour",
      sweeper.lambda.metricInvocations({ period: Duration.minutes(30) }),
      { threshold: 1, comparison: ComparisonOperator.LESS_THAN_THRESHOLD, missing: true },
    ],
    [
      "Rejected",
      "Machines try to reach more than the broker: look which in the flow log",
      rejected,
      { threshold: REJECTED_MAX },
    ],
    ...cacheMetrics.map((metric, index): [string, string, Metric, Threshold] => [
      `CacheFull${index}`,
      "The cache fills up, and a full one refuses every write: take a larger node",
      metric,
      { threshold: CACHE_FULL_PERCENT },
    ]),
  ];
  for (const [id, text, metric, threshold] of wanted) {
    addAlarm(scope, { id, text, metric, threshold, alarms });
  }
}

interface Threshold {
  readonly threshold: number;
  readonly comparison?: ComparisonOperator;
  /** Whether no figures at all are bad news. */
  readonly missing?: boolean;
  readonly periods?: number;
}

function addAlarm(
  scope: Construct,
  options: { id: string; text: string; metric: Metric; threshold: Threshold; alarms: Topic },
): void {
  const { id, text, metric, threshold, alarms } = options;
  const alarm = new Alarm(scope, `${id}Alarm`, {
    alarmDescription: text,
    metric,
    threshold: threshold.threshold,
    evaluationPeriods: threshold.periods ?? 1,
    comparisonOperator: threshold.comparison ?? ComparisonOperator.GREATER_THAN_THRESHOLD,
    treatMissingData: threshold.missing === true ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
  });
  alarm.addAlarmAction(new SnsAction(alarms));
}

/** It tells and stops nothing; the service's own caps stop. Needs the tag to be activated for billing, by hand. */
function addBudget(scope: Construct, { parameters }: Watched): void {
  const subscribers = [{ subscriptionType: "EMAIL", address: parameters.alarmEmail }];
  const at = (notificationType: string, threshold: number) => ({
    notification: { notificationType, comparisonOperator: "GREATER_THAN", threshold, thresholdType: "PERCENTAGE" },
    subscribers,
  });
  new CfnBudget(scope, "Budget", {
    budget: {
      budgetName: `${parameters.name}-mayfly`,
      budgetType: "COST",
      timeUnit: "MONTHLY",
      budgetLimit: { amount: parameters.monthlyBudgetUsd, unit: "USD" },
      costFilters: { TagKeyValue: [`user:${DEPLOYMENT_TAG}$${parameters.name}`] },
    },
    notificationsWithSubscribers: [...BUDGET_PERCENTS.map((percent) => at("ACTUAL", percent)), at("FORECASTED", 100)],
  });
}

function graph(title: string, left: readonly IMetric[]): GraphWidget {
  return new GraphWidget({ title, left: [...left], width: 8 });
}
