import { describe, expect, it } from "vitest";
import { checkEc2, ec2Of, Ec2Settings } from "./config-ec2.ts";
import { configTable } from "./config-schema.ts";
import { settingRows } from "./setting.ts";

const digest = `sha256:${"1".repeat(64)}`;
const whole = {
  region: "eu-central-1",
  launch_template: "lt-0123456789abcdef0",
  launch_template_version: 3,
  image_digest: digest,
  subnets: ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
  instance_types: ["m7i.large", "m7a.large", "m7i.large"],
};

function problems(settings: unknown, provider = "ec2"): string[] {
  const found: string[] = [];
  const environmentOf = (key: string) => key.toUpperCase();
  checkEc2(Ec2Settings.parse(settings), provider, environmentOf, (key, message) => found.push(`${key}: ${message}`));
  return found;
}

describe("the settings for machines on EC2", () => {
  it("describe a fleet, with defaults for the rest", () => {
    expect(problems(whole)).toEqual([]);
    expect(ec2Of(Ec2Settings.parse(whole))).toEqual({
      fleet: "mayfly",
      region: "eu-central-1",
      endpoint: null,
      launchTemplate: { id: "lt-0123456789abcdef0", version: 3 },
      image: digest,
      subnets: whole.subnets,
      instanceTypes: ["m7i.large", "m7a.large"],
      spot: true,
      launchBurst: 5,
      launchesPerSecond: 2,
      noticesQueue: null,
    });
  });

  it("may all be missing where machines are made elsewhere", () => {
    expect(problems({}, "qemu")).toEqual([]);
    expect(ec2Of(Ec2Settings.parse({}))).toBeNull();
  });

  it.each(Object.keys(whole))("are not enough without %s, which is named", (name) => {
    const settings = Object.fromEntries(Object.entries(whole).filter(([key]) => key !== name));
    const [problem, ...more] = problems(settings);
    expect(problem).toContain(`fleet.ec2.${name} (FLEET.EC2.${name.toUpperCase()})`);
    expect(more).toEqual([]);
    expect(ec2Of(Ec2Settings.parse(settings))).toBeNull();
  });

  it("name no more offerings than one request can", () => {
    const subnets = Array.from({ length: 16 }, (_, index) => `subnet-0123456789abcde${index.toString(16)}0`);
    const types = ["m7i.large", "m7a.large", "m6i.large"];
    expect(problems({ ...whole, subnets, instance_types: types })).toEqual([]);
    expect(problems({ ...whole, subnets, instance_types: [...types, "m6a.large"] })[0]).toContain("at most 60, not 64");
  });

  it.each([
    { name: "a b" },
    { name: "" },
    { region: "Frankfurt" },
    { endpoint: "http://ec2.example.com" },
    { endpoint: "https://user@ec2.example.com" },
    { endpoint: "https://ec2.example.com/path" },
    { launch_template: "machines" },
    { launch_template_version: 0 },
    { launch_template_version: "$Latest" },
    { image_digest: "1" },
    { subnets: ["vpc-0123456789abcdef0"] },
    { instance_types: ["large"] },
    { launch_burst: 0 },
    { launches_per_second: 0 },
    { notices_queue: "notices" },
    { notices_queue: "http://sqs.eu-central-1.amazonaws.com/111122223333/notices" },
    { notices_queue: "https://sqs.eu-central-1.amazonaws.com/notices" },
    { notices_queue: "https://sqs.eu-central-1.amazonaws.com/111122223333/notices?a=b" },
    { user_data: "x" },
  ])("refuse %j", (settings) => {
    expect(Ec2Settings.safeParse({ ...whole, ...settings }).success).toBe(false);
  });

  it.each(["https://ec2.example.com", "http://127.0.0.1:4566"])("take the endpoint %s", (endpoint) => {
    expect(Ec2Settings.safeParse({ ...whole, endpoint }).success).toBe(true);
  });

  it("take the URL of a queue, as SQS names it", () => {
    const queue = "https://sqs.eu-central-1.amazonaws.com/111122223333/Mayfly-Notices_1";
    expect(ec2Of(Ec2Settings.parse({ ...whole, notices_queue: queue }))?.noticesQueue).toBe(queue);
  });

  it("have environment names of their own", () => {
    const names = settingRows(Ec2Settings, [], "fleet.ec2").map(({ environment }) => environment);
    const others = configTable.filter(({ key }) => !key.startsWith("fleet.ec2.")).map(({ environment }) => environment);
    expect(new Set([...names, ...others]).size).toBe(names.length + others.length);
  });
});
