import { DescribeInstancesCommand, DescribeSubnetsCommand, RunInstancesCommand } from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { callRaw } from "./raw-call.ts";
import { type Ec2Fake, startEc2Fake } from "./server.ts";
import { createTestClient } from "./testing.ts";

describe("the stand-in for EC2 at its door", () => {
  let fake: Ec2Fake;

  beforeEach(async () => {
    fake = await startEc2Fake();
  });

  afterEach(async () => {
    await fake.close();
  });

  it("answers a call that is signed rightly", async () => {
    expect(await callRaw(fake, { Action: "DescribeVpcs" })).toMatchObject({ status: 200, code: null });
    expect(fake.violations).toEqual([]);
  });

  it("refuses a wrong secret, another body than was signed, another region, service or time", async () => {
    const wrong = { ...fake.credentials, secretAccessKey: "wrong" };
    const action = { Action: "DescribeVpcs" };
    const late = new Date(Date.now() - 6 * 60_000);
    const early = new Date(Date.now() + 6 * 60_000);
    const body = "Action=DescribeInstances&Version=2016-11-15";
    const answers = [
      await callRaw(fake, action, { credentials: wrong }),
      await callRaw(fake, action, { body }),
      await callRaw(fake, action, { region: "eu-west-1" }),
      await callRaw(fake, action, { service: "s3" }),
      await callRaw(fake, action, { date: late }),
      await callRaw(fake, action, { date: early }),
    ];
    expect(answers.map(({ status, code }) => [status, code])).toEqual([
      [403, "SignatureDoesNotMatch"],
      [403, "SignatureDoesNotMatch"],
      [403, "SignatureDoesNotMatch"],
      [403, "SignatureDoesNotMatch"],
      [400, "RequestExpired"],
      [400, "RequestExpired"],
    ]);
    expect(fake.violations).toHaveLength(6);
  });

  it("refuses an unknown key, no signature at all, and a session token that is not the key's", async () => {
    const unknown = { accessKeyId: "AKIAUNKNOWN", secretAccessKey: "s" };
    const tokened = { ...fake.credentials, sessionToken: "not-this" };
    const bare = await fetch(fake.url, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "Action=DescribeVpcs&Version=2016-11-15",
    });
    expect([bare.status, await bare.text()]).toEqual([401, expect.stringContaining("<Code>AuthFailure</Code>")]);
    for (const credentials of [unknown, tokened]) {
      expect(await callRaw(fake, { Action: "DescribeVpcs" }, { credentials })).toMatchObject({ code: "AuthFailure" });
    }
  });

  it("takes session credentials", async () => {
    const session = { accessKeyId: "ASIAEXAMPLE", secretAccessKey: "s", sessionToken: "token" };
    const other = await startEc2Fake({ credentials: [session] });
    expect(await callRaw(other, { Action: "DescribeVpcs" })).toMatchObject({ status: 200 });
    await other.close();
  });

  it.each([
    [{ Colour: "red" }, "UnknownParameter"],
    [{ "Filter.1.Colour": "red" }, "UnknownParameter"],
    [{ "Filter.2.Name": "instance-id" }, "UnknownParameter"],
    [{ "MaxResults.1": "5" }, "UnknownParameter"],
    [{ Filter: "x" }, "InvalidParameterValue"],
    [{ MaxResults: "many" }, "InvalidParameterValue"],
    [{ MaxResults: "4" }, "InvalidParameterValue"],
    [{ MaxResults: "5.5" }, "InvalidParameterValue"],
    [{ DryRun: "yes" }, "InvalidParameterValue"],
    [{ "Filter.1.Name": "colour", "Filter.1.Value.1": "red" }, "InvalidParameterValue"],
    [{ "Filter.1.Name": "instance-id" }, "InvalidParameterCombination"],
    [{ "InstanceId.1": "i-1" }, "InvalidInstanceID.Malformed"],
    [{ "InstanceId.1": "i-0123456789abcdef0", MaxResults: "5" }, "InvalidParameterCombination"],
    [{ NextToken: "made-up" }, "InvalidNextToken"],
    [{ IncludeManagedResources: "true" }, "NotModelled"],
    [{ Version: "2010-01-01" }, "NoSuchVersion"],
  ])("refuses %j to DescribeInstances with %s", async (parameters, code) => {
    expect(await callRaw(fake, { Action: "DescribeInstances", ...parameters })).toMatchObject({ code });
  });

  it("refuses what is missing and values outside a list, by the service model", async () => {
    expect(await callRaw(fake, { Action: "TerminateInstances" })).toMatchObject({ code: "MissingParameter" });
    expect(await callRaw(fake, { Action: "CreateFleet" })).toMatchObject({ code: "MissingParameter" });
    const parameters = { Action: "RunInstances", MinCount: "1", MaxCount: "1", InstanceType: "m7i.enormous" };
    expect(await callRaw(fake, parameters)).toMatchObject({ code: "InvalidParameterValue" });
  });

  it("refuses actions it does not know, and says so aloud", async () => {
    for (const Action of ["StopInstances", "CreateTags", "constructor", "RunInstancesRequest", ""]) {
      expect(await callRaw(fake, { Action })).toMatchObject({ status: 400, code: "InvalidAction" });
    }
    expect(fake.violations[0]).toContain("StopInstances: InvalidAction");
    expect(fake.violations).toHaveLength(5);
  });

  it("answers a dry run without doing anything, and a policy's refusal before that", async () => {
    const other = await startEc2Fake({ authorize: ({ action }) => action !== "TerminateInstances" });
    const client = createTestClient(other);
    const run = new RunInstancesCommand({ DryRun: true, MinCount: 1, MaxCount: 1 });
    await expect(client.send(run)).rejects.toMatchObject({ name: "DryRunOperation" });
    const terminate = { Action: "TerminateInstances", DryRun: "true", "InstanceId.1": "i-0123456789abcdef0" };
    expect(await callRaw(other, terminate)).toMatchObject({ status: 403, code: "UnauthorizedOperation" });
    expect(other.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
    expect(other.violations).toEqual([]);
    client.destroy();
    await other.close();
  });

  it("records each call with its input and its answer", async () => {
    const client = createTestClient(fake);
    await client.send(new DescribeSubnetsCommand({ SubnetIds: fake.place.subnets.map(({ id }) => id) }));
    const unknown = new DescribeInstancesCommand({ InstanceIds: ["i-0123456789abcdef0"] });
    await expect(client.send(unknown)).rejects.toMatchObject({ name: "InvalidInstanceID.NotFound" });
    client.destroy();
    expect(fake.calls).toMatchObject([
      {
        action: "DescribeSubnets",
        status: 200,
        code: null,
        input: { SubnetIds: fake.place.subnets.map(({ id }) => id) },
      },
      { action: "DescribeInstances", status: 400, code: "InvalidInstanceID.NotFound" },
    ]);
    expect(fake.state.callsByAction()).toEqual({ DescribeSubnets: 1, DescribeInstances: 1 });
    expect(fake.violations).toEqual([]);
  });

  it("gives the same names for the same seed", async () => {
    const others = await Promise.all([startEc2Fake({ seed: 7 }), startEc2Fake({ seed: 7 }), startEc2Fake({ seed: 8 })]);
    const [first, same, other] = others.map(({ place }) => place.subnets[0]?.id);
    expect(same).toBe(first);
    expect(other).not.toBe(first);
    await Promise.all(others.map((one) => one.close()));
  });
});
