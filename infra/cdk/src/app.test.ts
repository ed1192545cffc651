import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Topic } from "aws-cdk-lib/aws-sns";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildApp } from "./app.ts";
import { someParameters } from "./parameters.fixture.ts";
import { brokenRules, rules } from "./rules.fixture.ts";
import { slips } from "./slips.fixture.ts";
import { one, policies, statements, type Template } from "./template.fixture.ts";

let folder: string;
let template: Template;
let images: Template;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-cdk-"));
  const parameters = someParameters({ appKeyInKms: true });
  const assembly = buildApp({ parameters, outdir: join(folder, "whole") }).app.synth();
  template = assembly.getStackArtifact("Mayfly").template as Template;
  images = assembly.getStackArtifact("MayflyImages").template as Template;
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("the deployment", () => {
  it("keeps every rule", () => {
    expect(brokenRules(template)).toEqual([]);
  });

  it("has nothing against it from cdk-nag or CloudFormation's own schemas", async () => {
    const report = JSON.parse(await readFile(join(folder, "whole", "validation-report.json"), "utf8")) as {
      pluginReports: unknown[];
    };
    expect(report.pluginReports).toEqual([]);
  });

  it("lets no finding stand without a reason", async () => {
    const metadata = await readFile(join(folder, "whole", "Mayfly.metadata.json"), "utf8");
    const acknowledged = acknowledgedIn(JSON.parse(metadata));
    expect(acknowledged.length).toBeGreaterThan(5);
    expect(acknowledged.filter(({ reason }) => reason.length < 40)).toEqual([]);
  });

  it("makes no key for the App unless asked", () => {
    const { app } = buildApp({ parameters: someParameters(), outdir: join(folder, "plain") });
    const plain = app.synth().getStackArtifact("Mayfly").template as Template;
    expect(Object.values(plain.Resources).filter(({ Type }) => Type === "AWS::KMS::Key")).toEqual([]);
    expect(JSON.stringify(plain)).not.toContain("kms:Sign");
  });

  it("can have hosts of their own for webhooks, which may do nothing else and which machines do not reach", async () => {
    const outdir = join(folder, "fronts");
    const parameters = someParameters({ appKeyInKms: true, frontReplicas: 2 });
    const split = buildApp({ parameters, outdir }).app.synth().getStackArtifact("Mayfly").template as Template;
    expect(brokenRules(split)).toEqual([]);
    const report = await readFile(join(outdir, "validation-report.json"), "utf8");
    expect((JSON.parse(report) as { pluginReports: unknown[] }).pluginReports).toEqual([]);
    const fronts = one(split, "AWS::AutoScaling::AutoScalingGroup", "Fronts").Properties;
    expect([fronts.MinSize, fronts.MaxSize]).toEqual(["2", "2"]);
    expect(policies(split, "FrontRole").flatMap(({ Action }) => Action as string | string[])).toEqual([
      "secretsmanager:GetSecretValue",
      ...["ClientMount", "ClientWrite", "ClientRootAccess"].map((name) => `elasticfilesystem:${name}`),
    ]);
    const [secrets] = statements(split, "FrontRole", "secretsmanager:GetSecretValue");
    expect(JSON.stringify(secrets?.Resource)).toMatch(
      /^\[\{"Ref":"Secretwebhooksecret"\},\{"Ref":"CacheToken\w+"\}\]$/,
    );
    const told = (name: string) =>
      JSON.stringify(one(split, "AWS::EC2::LaunchTemplate", `${name}Template`).Properties).replaceAll("\\", "");
    expect(told("Front")).toContain('"app_key": null');
    expect(told("Front")).toContain('"model_key": null');
    expect([told("Front"), told("Host")].map((text) => text.includes("Secretmodelkey"))).toEqual([false, true]);
    expect(told("Host")).toMatch(/"roles": \[n\s+"worker",n\s+"broker"/);
    // Each door leads to its own hosts.
    const ways = Object.entries(split.Resources).filter(([, { Type }]) => Type === "AWS::EC2::SecurityGroupIngress");
    const doorsOf = (name: string) =>
      ways
        .filter(([id]) => id.startsWith(`${name}SecurityGroup`))
        .map(([, { Properties }]) => Properties.Description as string);
    expect([doorsOf("Front"), doorsOf("Host")]).toEqual([["webhooks"], ["machines"]]);
  });

  it("is refused by cdk-nag when something is bent", () => {
    const bent = buildApp({ parameters: someParameters(), outdir: join(folder, "bent") });
    new Topic(bent.mayfly, "Open");
    expect(() => bent.app.synth()).toThrow("AwsSolutions-SNS3");
  });
});

describe("the image publisher", () => {
  it("can neither launch nor end nor touch what it did not make", () => {
    const statements = Object.values(images.Resources)
      .filter(({ Type }) => Type === "AWS::IAM::Policy")
      .flatMap(
        ({ Properties }) => Properties.PolicyDocument.Statement as { Action: string | string[]; Condition: object }[],
      );
    expect(statements.flatMap(({ Action }) => Action).sort()).toEqual([
      "ebs:CompleteSnapshot",
      "ebs:PutSnapshotBlock",
      "ebs:StartSnapshot",
      "ec2:CreateTags",
      "ec2:DeleteSnapshot",
      "ec2:DeregisterImage",
      "ec2:DescribeImages",
      "ec2:DescribeSnapshots",
      "ec2:RegisterImage",
      "ec2:RegisterImage",
    ]);
    expect(
      statements.filter(
        ({ Condition }) => !/mayfly:image|CreateAction|RequestedRegion/.test(JSON.stringify(Condition)),
      ),
    ).toEqual([]);
  });
});

describe("the rules", () => {
  it.each(slips)("%s: notice a slip in %s at %s", (rule, id, path, value) => {
    const bent = bend(template, { id, path, value });
    expect(brokenRules(bent).filter((broken) => broken.startsWith(rule))).not.toEqual([]);
  });

  it("each have a slip that they notice", () => {
    expect(Object.keys(rules).filter((name) => !slips.some(([rule]) => rule === name))).toEqual([]);
  });
});

/** A copy with one thing changed. The resource is the first whose name is `id`, or begins so; fails where there is none. */
function bend(whole: Template, { id, path, value }: { id: string; path: string; value: unknown }): Template {
  const copy = structuredClone(whole);
  const names = Object.keys(copy.Resources);
  const name = names.find((one) => one === id) ?? names.find((one) => new RegExp(`^${id}[0-9A-F]{8}$`).test(one));
  const found = name ?? names.find((one) => one.startsWith(id));
  let place: unknown = found === undefined ? undefined : copy.Resources[found]?.Properties;
  const steps = path.split(".");
  const last = steps.pop() ?? "";
  for (const step of steps) {
    place = stepInto(place, step);
  }
  if (typeof place !== "object" || place === null) {
    throw new TypeError(`there is no ${path} in ${id}`);
  }
  if (value === undefined && !Object.hasOwn(place, last)) {
    throw new TypeError(`there is nothing to take away at ${path} in ${id}`);
  }
  Reflect.set(place, last, value);
  return JSON.parse(JSON.stringify(copy)) as Template;
}

function stepInto(place: unknown, step: string): unknown {
  const sid = /^Sid=(.*)/.exec(step)?.[1];
  if (sid !== undefined) {
    const { PolicyDocument } = place as { PolicyDocument: { Statement: { Sid?: string }[] } };
    return PolicyDocument.Statement.find((statement) => statement.Sid === sid);
  }
  return (place as Record<string, unknown> | undefined)?.[step];
}

function acknowledgedIn(metadata: unknown): { id: string; reason: string }[] {
  const found: { id: string; reason: string }[] = [];
  JSON.stringify(metadata, (key, value: unknown) => {
    if (key === "data" && typeof value === "object" && value !== null) {
      for (const [id, reason] of Object.entries(value)) {
        if (id.includes("AwsSolutions") && typeof reason === "string") {
          found.push({ id, reason });
        }
      }
    }
    return value;
  });
  return found;
}
