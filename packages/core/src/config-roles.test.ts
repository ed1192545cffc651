import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";
import type { ConfigSources } from "./config-draft.ts";

const redis = { MAYFLY_REDIS_URL: "redis://127.0.0.1:6379" };
const shared = { MAYFLY_SHARED_DIR: "/shared" };
const ec2 = {
  MAYFLY_PROVIDER: "ec2",
  MAYFLY_EC2_REGION: "eu-central-1",
  MAYFLY_EC2_LAUNCH_TEMPLATE: "lt-0123456789abcdef0",
  MAYFLY_EC2_LAUNCH_TEMPLATE_VERSION: "1",
  MAYFLY_EC2_IMAGE_DIGEST: `sha256:${"0".repeat(64)}`,
  MAYFLY_EC2_SUBNETS: "subnet-0123456789abcdef0",
  MAYFLY_EC2_INSTANCE_TYPES: "m7i.large",
};
const all = ["intake", "worker", "broker", "web"];

function problemsOf(environment: ConfigSources["environment"]): string[] {
  const parsed = parseConfig({ environment });
  return parsed.ok ? [] : parsed.problems.map(({ place, message }) => `${place}: ${message}`);
}

function configOf(environment: ConfigSources["environment"]) {
  const parsed = parseConfig({ environment });
  if (!parsed.ok) {
    throw new Error(JSON.stringify(parsed.problems));
  }
  return parsed.config;
}

describe("a host's roles", () => {
  it("are all of them unless something else is said, and its folder is what it shares", () => {
    expect(configOf({ MAYFLY_STATE_DIR: "/mine" })).toMatchObject({
      roles: all,
      stateDir: "/mine",
      sharedDir: "/mine",
    });
    const split = configOf({ ...redis, ...shared, MAYFLY_ROLES: "web, intake,web", MAYFLY_STATE_DIR: "/mine" });
    expect(split).toMatchObject({ roles: ["web", "intake"], stateDir: "/mine", sharedDir: "/shared" });
  });

  it("are named where one is unknown", () => {
    expect(problemsOf({ MAYFLY_ROLES: "intake,brocker" })).toEqual([
      'MAYFLY_ROLES: must be intake, worker, broker or web, not "brocker"',
    ]);
  });

  it("need a Redis that others reach, unless they are all here", () => {
    expect(problemsOf({ MAYFLY_ROLES: "intake" })).toEqual([
      expect.stringContaining("set redis_url (MAYFLY_REDIS_URL)"),
    ]);
    expect(problemsOf({ MAYFLY_ROLES: all.toReversed().join(",") })).toEqual([]);
    expect(problemsOf({ ...redis, MAYFLY_ROLES: "intake" })).toEqual([]);
  });

  it.each([
    ["worker", "add broker"],
    ["intake,broker", "add worker"],
  ])("keep worker and broker together where machines are on their host: %s", (roles, fix) => {
    expect(problemsOf({ ...redis, ...shared, MAYFLY_ROLES: roles })).toEqual([expect.stringContaining(fix)]);
    expect(problemsOf({ ...redis, ...shared, ...ec2, MAYFLY_ROLES: roles })).toEqual([]);
    expect(problemsOf({ ...redis, MAYFLY_ROLES: "worker,broker" })).toEqual([]);
  });

  it.each(["worker", "broker", "web"])("need a shared folder where they read what another host writes: %s", (role) => {
    const problems = problemsOf({ ...redis, ...ec2, MAYFLY_ROLES: role });
    expect(problems).toEqual([expect.stringContaining("set shared_dir (MAYFLY_SHARED_DIR)")]);
  });

  it("ask for what they need of a GitHub App, and for nothing else", () => {
    const base = { ...redis, ...shared, ...ec2 };
    const id = { MAYFLY_GITHUB_APP_ID: "3" };
    const key = { MAYFLY_GITHUB_PRIVATE_KEY_FILE: "/k.pem" };
    const secret = { MAYFLY_WEBHOOK_SECRET: "s".repeat(16) };
    expect(problemsOf({ ...base, ...id, ...key, MAYFLY_ROLES: "worker" })).toEqual([]);
    expect(problemsOf({ ...base, ...secret, MAYFLY_ROLES: "intake" })).toEqual([]);
    expect(problemsOf({ ...base, ...id, MAYFLY_ROLES: "broker" })).toEqual([]);
    expect(problemsOf({ ...base, ...id, MAYFLY_ROLES: "worker" })).toHaveLength(1);
    expect(problemsOf({ ...base, ...id, ...key })).toEqual([expect.stringContaining("github.webhook_secret")]);
  });
});
