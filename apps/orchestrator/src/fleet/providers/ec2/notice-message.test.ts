import { describe, expect, it } from "vitest";
import { machineIdOf } from "./machine-id.ts";
import { readNoticeMessage } from "./notice-message.ts";

const place = { account: "123456789012", region: "us-east-1" };
const instance = "i-0123456789abcdef0";

function notice(changes: object = {}): string {
  return JSON.stringify({
    version: "0",
    id: "12345678-1234-1234-1234-123456789012",
    "detail-type": "EC2 Spot Instance Interruption Warning",
    source: "aws.ec2",
    account: place.account,
    time: "2026-11-23T00:00:00Z",
    region: place.region,
    resources: [`arn:aws:ec2:us-east-1:123456789012:instance/${instance}`],
    detail: { "instance-id": instance, "instance-action": "terminate" },
    ...changes,
  });
}

describe("a message of the queue of notices", () => {
  it("is read as what EventBridge says", () => {
    expect(readNoticeMessage(notice(), place)).toEqual({ machine: machineIdOf(instance), warned: true });
    const change = { "detail-type": "EC2 Instance State-change Notification" };
    const ended = notice({ ...change, detail: { "instance-id": instance, state: "terminated" } });
    expect(readNoticeMessage(ended, place)).toEqual({ machine: machineIdOf(instance), warned: false });
    const began = notice({ ...change, detail: { "instance-id": instance, state: "running" } });
    expect(readNoticeMessage(began, place)).toBeNull();
  });

  it.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["another value", "null"],
    ["a list", "[1]"],
    ["too much", notice({ id: "x".repeat(20_000) })],
    ["too deep", "[".repeat(5_000)],
    ["a name twice", `{"account":"123456789012",${notice().slice(1)}`],
    ["a prototype", `{"__proto__":{"account":"123456789012"},${notice({ account: undefined }).slice(1)}`],
    ["half a character", notice({ id: "\ud800" }).replace("\\ud800", "\ud800")],
    ["another account", notice({ account: "999999999999" })],
    ["another region", notice({ region: "eu-central-1" })],
    ["another source", notice({ source: "example.com" })],
    ["no instance", notice({ detail: {} })],
    ["an instance of other digits", notice({ detail: { "instance-id": "i-01234567" } })],
    ["an instance with more behind it", notice({ detail: { "instance-id": `${instance}\n` } })],
    ["a number for an instance", notice({ detail: { "instance-id": 12 } })],
  ])("with %s is none of ours, and nothing is thrown", (_what, body) => {
    expect(readNoticeMessage(body, place)).toBeNull();
  });
});
