import { type Config, parseConfig } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { brokerPart } from "./parts.ts";
import { seal } from "./handover.ts";
import { isSpread, serviceConfigOf } from "./settings.ts";

const webhookSecret = "webhook-secret-of-a-test";
const modelKey = "sk-test-0123456789abcdef";

function configOf(roles: string, more: Record<string, string> = {}): Config {
  const parsed = parseConfig({
    environment: {
      MAYFLY_ROLES: roles,
      MAYFLY_REDIS_URL: "redis://127.0.0.1:6379",
      MAYFLY_SHARED_DIR: "/shared",
      MAYFLY_PROVIDER: "ec2",
      MAYFLY_EC2_REGION: "eu-central-1",
      MAYFLY_EC2_LAUNCH_TEMPLATE: "lt-0123456789abcdef0",
      MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION: "1",
      MAYFLY_EC2_IMAGE_DIGEST: `sha256:${"0".repeat(64)}`,
      MAYFLY_EC2_SUBNETS: "subnet-0123456789abcdef0",
      MAYFLY_EC2_INSTANCE_TYPES: "m7i.large",
      MAYFLY_GITHUB_APP_ID: "3",
      MAYFLY_GITHUB_PRIVATE_KEY_FILE: "/k.pem",
      MAYFLY_WEBHOOK_SECRET: webhookSecret,
      OPENAI_API_KEY: modelKey,
      ...more,
    },
  });
  if (!parsed.ok) {
    throw new Error(JSON.stringify(parsed.problems));
  }
  return parsed.config;
}

const told = (config: Config): string => seal({ account: null, settings: serviceConfigOf(config) });

describe("what a host's service is told", () => {
  it("is the webhook secret where it takes webhooks, or searches for it", () => {
    expect(told(configOf("intake"))).toContain(webhookSecret);
    expect(told(configOf("worker"))).toContain(webhookSecret);
    expect(told(configOf("web,broker"))).not.toContain(webhookSecret);
  });

  it("is where the App's key is for a worker alone, and the model's key for nobody", () => {
    expect(told(configOf("worker"))).toContain("/k.pem");
    for (const roles of ["intake", "web", "broker"]) {
      expect(told(configOf(roles))).not.toContain("/k.pem");
    }
    expect(told(configOf("intake,worker,broker,web"))).not.toContain(modelKey);
  });
});

describe("worker and broker", () => {
  it("speak through Redis where there may be several of each, and over sockets where all is on one host", () => {
    expect(isSpread(configOf("worker"))).toBe(true);
    expect(brokerPart(configOf("broker"), "one").settings).toMatchObject({ spreadAs: "one", sharedDir: "/shared" });
    const qemu = configOf("worker,broker", { MAYFLY_PROVIDER: "qemu" });
    expect(isSpread(qemu)).toBe(false);
    expect(brokerPart(qemu, "one").settings.spreadAs).toBeNull();
    const whole = configOf("intake,worker,broker,web", { MAYFLY_REDIS_URL: "" });
    expect(isSpread(whole)).toBe(false);
  });
});
