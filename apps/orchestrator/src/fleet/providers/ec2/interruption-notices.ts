import { DeleteMessageCommand, type Message, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import type { MachineEvent } from "@mayfly/core";
import type { Logger } from "pino";
import type { MachineNotice, Notices } from "../../notices.ts";
import { type Pause, saidBy, systemPause } from "./ec2-client.ts";
import type { Ec2Provider } from "./ec2-provider.ts";
import { readNoticeMessage } from "./notice-message.ts";

/** Limit: SQS lets a reader wait so long for a message, and gives so many at once. */
const WAIT_SECONDS = 20;
const MESSAGES_MAX = 10;
/** Longer than a look takes; then it comes again, to whoever asks. */
const VISIBILITY_SECONDS = 30;
/** A message that cannot be handled so often never will be: machines are looked at all the time in any case. */
const RECEIVES_MAX = 5;
/** One call, with the time that SQS may wait. */
const CALL_MS = (WAIT_SECONDS + 10) * 1_000;
/** A queue that does not answer is asked again after so long. */
const RETRY_MS = 5_000;

export interface NoticeOptions {
  readonly sqs: SQSClient;
  readonly queueUrl: string;
  readonly region: string;
  readonly provider: Pick<Ec2Provider, "lookUp">;
  readonly log: Logger;
  readonly pause?: Pause;
}

/** A client of SQS for this queue, that never repeats a call by itself. */
export function createSqsClient(options: {
  region: string;
  queueUrl: string;
  credentials?: NonNullable<ConstructorParameters<typeof SQSClient>[0]>["credentials"];
}): SQSClient {
  const { region, queueUrl, credentials } = options;
  const { origin } = new URL(queueUrl);
  return new SQSClient({
    region,
    endpoint: origin,
    maxAttempts: 1,
    ...(credentials === undefined ? {} : { credentials }),
  });
}

type MachineNoticeRead = ReturnType<typeof readNoticeMessage>;

/**
 * EC2's notices about machines, as EventBridge puts them into a queue. Whoever could write into the queue could make a
 * spot machine's attempt be lost, once a run; anything else only makes us look.
 */
export function createInterruptionNotices(options: NoticeOptions): Notices {
  const { sqs, queueUrl, region, provider, log, pause = systemPause } = options;
  const place = { account: accountOf(queueUrl), region };
  const closing = new AbortController();
  let working: Promise<void> = Promise.resolve();

  async function receive(): Promise<readonly Message[]> {
    const command = new ReceiveMessageCommand({
      QueueUrl: queueUrl,
      MaxNumberOfMessages: MESSAGES_MAX,
      WaitTimeSeconds: WAIT_SECONDS,
      VisibilityTimeout: VISIBILITY_SECONDS,
      MessageSystemAttributeNames: ["ApproximateReceiveCount"],
    });
    const abortSignal = AbortSignal.any([closing.signal, AbortSignal.timeout(CALL_MS)]);
    return (await sqs.send(command, { abortSignal })).Messages ?? [];
  }

  /** Never throws: what is not deleted comes again. */
  async function handle(message: Message, onNotice: (notice: MachineNotice) => Promise<void>): Promise<void> {
    const { Body: body = "", ReceiptHandle, Attributes } = message;
    let notice: MachineNoticeRead = null;
    try {
      notice = readNoticeMessage(body, place);
      if (notice === null) {
        log.warn({ chars: body.length }, "a message that is no notice of ours is thrown away");
      } else {
        const { machine, warned } = notice;
        await onNotice({ machine, lookUp: async () => eventOf(await provider.lookUp(machine, warned)) });
      }
    } catch (err) {
      if (Number(Attributes?.ApproximateReceiveCount ?? 1) < RECEIVES_MAX) {
        log.warn({ machine: notice?.machine, err }, "a notice could not be followed; it comes again");
        return;
      }
      log.error({ machine: notice?.machine, err }, "a notice could not be followed, and is given up");
    }
    await sqs
      .send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle }), {
        abortSignal: AbortSignal.timeout(CALL_MS),
      })
      .catch((error: unknown) => log.warn({ said: saidBy(error) }, "a notice could not be deleted; it comes again"));
  }

  async function work(onNotice: (notice: MachineNotice) => Promise<void>): Promise<void> {
    let isAway = false;
    while (!closing.signal.aborted) {
      try {
        const messages = await receive();
        isAway = false;
        await Promise.all(messages.map((message) => handle(message, onNotice)));
      } catch (error) {
        if (closing.signal.aborted) {
          return;
        }
        if (!isAway) {
          log.warn(
            { said: saidBy(error) },
            "the queue of notices does not answer; machines are looked at all the same",
          );
        }
        isAway = true;
        await pause(RETRY_MS);
      }
    }
  }

  return {
    start(onNotice) {
      working = work(onNotice);
    },
    async close() {
      closing.abort();
      await working;
      sqs.destroy();
    },
  };
}

function eventOf(said: Awaited<ReturnType<Ec2Provider["lookUp"]>>): MachineEvent | null {
  if (said === null) {
    return null;
  }
  return said === "taken back" ? { type: "destroy", why: "taken_back" } : { type: "vanished" };
}

/** A queue's URL names the account it is in: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`. */
function accountOf(queueUrl: string): string {
  return new URL(queueUrl).pathname.split("/")[1] ?? "";
}
