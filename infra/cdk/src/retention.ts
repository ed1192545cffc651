import { RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Parameters } from "./parameters.ts";

const terms: Readonly<Record<Parameters["logDays"], RetentionDays>> = {
  30: RetentionDays.ONE_MONTH,
  90: RetentionDays.THREE_MONTHS,
  180: RetentionDays.SIX_MONTHS,
  365: RetentionDays.ONE_YEAR,
};

/** How long logs are kept, in CDK's words. */
export function retentionOf({ logDays }: Parameters): RetentionDays {
  return terms[logDays];
}
