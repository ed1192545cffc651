import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type SqsFake, type SqsFakeOptions, startSqsFake } from "./server.ts";

describe("the stand-in for SQS", () => {
  let fake: SqsFake;
  let now: number;
  const clients: SQSClient[] = [];

  async function open(options: SqsFakeOptions = {}): Promise<void> {
    fake = await startSqsFake({ clock: () => now, ...options });
  }

  beforeEach(async () => {
    now = 0;
    await open();
  });

  afterEach(async () => {
    clients.splice(0).forEach((client) => client.destroy());
    await fake.close();
  });

  function client(credentials = fake.credentials, region = fake.region): SQSClient {
    const made = new SQSClient({ region, credentials, maxAttempts: 1, endpoint: new URL(fake.queueUrl).origin });
    clients.push(made);
    return made;
  }

  const receive = (input: Partial<ReceiveMessageCommandInput> = {}, from = client()) =>
    from.send(new ReceiveMessageCommand({ QueueUrl: fake.queueUrl, ...input })).then(({ Messages = [] }) => Messages);

  it("hands a message out, hides it for a while, and has it back until it is deleted", async () => {
    fake.put("one");
    const [message] = await receive({
      VisibilityTimeout: 30,
      MessageSystemAttributeNames: ["ApproximateReceiveCount"],
    });
    expect(message).toMatchObject({ Body: "one", Attributes: { ApproximateReceiveCount: "1" } });
    expect(await receive()).toEqual([]);
    now += 30_000;
    const [again] = await receive({ MessageSystemAttributeNames: ["ApproximateReceiveCount"] });
    expect(again).toMatchObject({ MessageId: message?.MessageId, Attributes: { ApproximateReceiveCount: "2" } });
    await client().send(
      new DeleteMessageCommand({ QueueUrl: fake.queueUrl, ReceiptHandle: again?.ReceiptHandle ?? "" }),
    );
    expect(fake.left()).toBe(0);
    expect(fake.violations).toEqual([]);
  });

  it("waits for a message as long as it is asked to", async () => {
    const waiting = receive({ WaitTimeSeconds: 20 });
    fake.put("late");
    expect(await waiting).toMatchObject([{ Body: "late" }]);
  });

  it("hands some out twice, as a standard queue does", async () => {
    await fake.close();
    await open({ duplicates: 1 });
    fake.put("one");
    expect([...(await receive()), ...(await receive())]).toHaveLength(2);
  });

  it("refuses a wrong signature, another queue, numbers out of bounds, unknown handles and what it does not do", async () => {
    const wrong = client({ ...fake.credentials, secretAccessKey: "wrong" });
    await expect(receive({}, wrong)).rejects.toMatchObject({ name: "SignatureDoesNotMatch" });
    await expect(receive({}, client(fake.credentials, "us-east-1"))).rejects.toMatchObject({
      name: "SignatureDoesNotMatch",
    });
    await expect(receive({ QueueUrl: `${fake.queueUrl}s` })).rejects.toMatchObject({ name: "QueueDoesNotExist" });
    await expect(receive({ MaxNumberOfMessages: 11 })).rejects.toMatchObject({ name: "InvalidParameterValue" });
    await expect(receive({ WaitTimeSeconds: 21 })).rejects.toMatchObject({ name: "InvalidParameterValue" });
    await expect(
      client().send(new DeleteMessageCommand({ QueueUrl: fake.queueUrl, ReceiptHandle: "none" })),
    ).rejects.toMatchObject({ name: "ReceiptHandleIsInvalid" });
    await expect(client().send(new GetQueueAttributesCommand({ QueueUrl: fake.queueUrl }))).rejects.toThrow();
    expect(fake.violations).toHaveLength(7);
  });

  it("refuses what the service's model does not have", async () => {
    const strange = { QueueUrl: fake.queueUrl, MaxNumberOfMessages: "1" } as unknown as ReceiveMessageCommandInput;
    await expect(client().send(new ReceiveMessageCommand(strange))).rejects.toThrow("of another type");
  });
});
