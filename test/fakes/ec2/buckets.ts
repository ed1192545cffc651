/** EC2's request limits: a token bucket for each class of actions, per account and region. */
import { Ec2Refusal } from "./refusal.ts";

interface BucketSize {
  /** Requests at once. */
  readonly burst: number;
  readonly perSecond: number;
}

export type BucketName = "launch" | "terminate" | "describe" | "describeAll" | "mutate" | "machines";

/**
 * The defaults of the EC2 Developer Guide's throttling tables; that CreateFleet draws from the launches' bucket was
 * measured by others. `describeAll` is a describe without filter and page, `machines` counts launched machines.
 */
const defaultBuckets: Readonly<Record<BucketName, BucketSize>> = {
  launch: { burst: 5, perSecond: 2 },
  terminate: { burst: 100, perSecond: 5 },
  describe: { burst: 100, perSecond: 20 },
  describeAll: { burst: 50, perSecond: 10 },
  mutate: { burst: 100, perSecond: 5 },
  machines: { burst: 1_000, perSecond: 2 },
};

export type Throttle = Partial<Record<BucketName, BucketSize>>;

export interface Buckets {
  /** Takes so many tokens (a launch of more than the bucket holds is refused for ever), or throws RequestLimitExceeded. */
  take(name: BucketName, count: number): void;
}

/** `clock` gives epoch milliseconds; null sizes limit nothing. */
export function createBuckets(clock: () => number, sizes: Throttle | null): Buckets {
  const levels = new Map<BucketName, { tokens: number; at: number }>();
  return {
    take(name, count) {
      if (sizes === null) {
        return;
      }
      const { burst, perSecond } = sizes[name] ?? defaultBuckets[name];
      const now = clock();
      const level = levels.get(name) ?? { tokens: burst, at: now };
      const tokens = Math.min(burst, level.tokens + ((now - level.at) / 1_000) * perSecond);
      const isGiven = tokens >= count;
      levels.set(name, { tokens: isGiven ? tokens - count : tokens, at: now });
      if (!isGiven) {
        throw new Ec2Refusal("RequestLimitExceeded", "Request limit exceeded.", 503);
      }
    },
  };
}

/** The bucket that an action draws from. */
export function bucketOf(action: string, input: object): BucketName {
  if (action === "RunInstances" || action === "CreateFleet") {
    return "launch";
  }
  if (action === "TerminateInstances") {
    return "terminate";
  }
  if (!/^(Describe|Get)/.test(action)) {
    return "mutate";
  }
  const isWhole = !("Filters" in input) && !("MaxResults" in input);
  const isLarge = ["DescribeInstances", "DescribeVolumes", "DescribeNetworkInterfaces"].includes(action);
  return isWhole && isLarge ? "describeAll" : "describe";
}
