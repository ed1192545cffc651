/** A stand-in for SQS with one queue: the JSON protocol over HTTP, signatures checked, refusals as the real one's. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Ec2Refusal } from "../ec2/refusal.ts";
import { checkSignature, type Credentials } from "../ec2/signature.ts";
import { createQueue, type Queue } from "./queue.ts";
import { complaintAbout } from "./schema.ts";

export interface SqsFakeOptions {
  readonly seed?: number;
  readonly region?: string;
  readonly account?: string;
  /** What messages become visible by. The wall clock unless said. */
  readonly clock?: () => number;
  readonly duplicates?: number;
}

export interface SqsFake {
  readonly queueUrl: string;
  readonly region: string;
  readonly account: string;
  readonly credentials: Credentials;
  /** Puts a message into the queue, as EventBridge would. */
  put(body: string): void;
  /** Messages that are not deleted. */
  left(): number;
  /** What was asked, in order. */
  readonly calls: readonly string[];
  /** Every call that no good client makes. */
  readonly violations: readonly string[];
  /** Until set back, each call is refused with this code and status. */
  fail(with_: { readonly code: string; readonly status: number } | null): void;
  close(): Promise<void>;
}

const TYPE = "application/x-amz-json-1.0";
const TARGET = "AmazonSQS.";
const BODY_CHARS_MAX = 256 * 1024;
/** How often a reader that waits is looked after, ms. */
const LOOK_MS = 20;

class Refusal extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export async function startSqsFake(options: SqsFakeOptions = {}): Promise<SqsFake> {
  const { seed = 1, region = "eu-central-1", account = "111122223333", clock = Date.now, duplicates = 0 } = options;
  const credentials = { accessKeyId: "AKIASQSFAKE", secretAccessKey: "secret-of-the-stand-in" };
  const queue = createQueue({ seed, clock, duplicates });
  const calls: string[] = [];
  const violations: string[] = [];
  let failure: { readonly code: string; readonly status: number } | null = null;
  let queueUrl = "";

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<unknown> {
    const body = await readText(incoming);
    const { method = "", url: target = "", headers } = incoming;
    const action = String(headers["x-amz-target"] ?? "").slice(TARGET.length);
    calls.push(action);
    if (failure !== null) {
      throw new Refusal(failure.code, "The stand-in was told to refuse.", failure.status);
    }
    if (method !== "POST" || headers["content-type"] !== TYPE || !String(headers["x-amz-target"]).startsWith(TARGET)) {
      throw new Refusal("InvalidAddress", "The stand-in takes JSON 1.0 by POST.");
    }
    checkSignature(
      { method, target, headers, body },
      { region, credentials: [credentials], now: Date.now(), service: "sqs" },
    );
    const input = JSON.parse(body) as Record<string, unknown>;
    const complaint = complaintAbout(action, input);
    if (complaint !== null) {
      throw new Refusal(complaint === "unknown" ? "UnknownOperationException" : "InvalidParameterValue", complaint);
    }
    if (input["QueueUrl"] !== queueUrl) {
      throw new Refusal("QueueDoesNotExist", "The specified queue does not exist.");
    }
    return perform(queue, action, input, outgoing);
  }

  const server = createServer((incoming, outgoing) => {
    void answer(incoming, outgoing).then(
      (found) => send(outgoing, 200, found),
      (error: unknown) => {
        const { code, status } =
          error instanceof Refusal || error instanceof Ec2Refusal ? error : { code: "InternalFailure", status: 500 };
        if (failure === null) {
          violations.push(`${code}: ${String(error)}`);
        }
        send(outgoing, status, { __type: `com.amazonaws.sqs#${code}`, message: String(error) });
      },
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  queueUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${account}/notices`;
  return {
    queueUrl,
    region,
    account,
    credentials,
    put: queue.put,
    left: queue.left,
    calls,
    violations,
    fail(next) {
      failure = next;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function perform(
  queue: Queue,
  action: string,
  input: Record<string, unknown>,
  outgoing: ServerResponse,
): Promise<unknown> {
  if (action === "DeleteMessage") {
    if (!queue.remove(String(input["ReceiptHandle"]))) {
      throw new Refusal("ReceiptHandleIsInvalid", "The input receipt handle is invalid.");
    }
    return {};
  }
  if (action !== "ReceiveMessage") {
    throw new Refusal("UnsupportedOperation", `The stand-in does not do ${action}.`);
  }
  const count = within(input, "MaxNumberOfMessages", [1, 10], 1);
  const seconds = within(input, "WaitTimeSeconds", [0, 20], 0);
  const visibility = within(input, "VisibilityTimeout", [0, 43_200], 30);
  const until = performance.now() + seconds * 1_000;
  const hasLeft = () => outgoing.socket === null || outgoing.socket.destroyed;
  while (!queue.hasVisible() && performance.now() < until && !hasLeft()) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  // Whoever hung up before the message came is heard of only now, when all that the sockets have to say was read.
  for (let turns = 0; turns < 2; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  // Who has left gets nothing, and nothing is lost to them.
  const messages = hasLeft() ? [] : queue.take(count, visibility * 1_000);
  const names = input["MessageSystemAttributeNames"];
  const wanted = Array.isArray(names) && names.includes("ApproximateReceiveCount");
  const shown = messages.map(({ Attributes, ...message }) => (wanted ? { ...message, Attributes } : message));
  return shown.length === 0 ? {} : { Messages: shown };
}

function within(input: Record<string, unknown>, name: string, [least, most]: [number, number], usual: number): number {
  const value = input[name] ?? usual;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw new Refusal("InvalidParameterValue", `${name} must be between ${least} and ${most}.`);
  }
  return value;
}

function send(outgoing: ServerResponse, status: number, body: unknown): void {
  outgoing.writeHead(status, { "content-type": TYPE });
  outgoing.end(JSON.stringify(body));
}

async function readText(incoming: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of incoming.setEncoding("utf8") as AsyncIterable<string>) {
    text = text.length > BODY_CHARS_MAX ? text : text + chunk;
  }
  return text;
}
