/** What a call meets, in EC2's order: form, signature, service model, policy, limits, dry run, and then its fate. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { actionOf } from "./actions.ts";
import { bucketOf } from "./buckets.ts";
import { carryOut, drawFault, type Fault } from "./faults.ts";
import { settle } from "./life.ts";
import { decodeInput, type Query, readQuery } from "./query.ts";
import { Ec2Refusal, isClientFault } from "./refusal.ts";
import { operationOf } from "./schema.ts";
import { checkSignature, type Credentials } from "./signature.ts";
import type { World } from "./world.ts";
import { encodeAnswer, encodeRefusal } from "./xml.ts";

export interface RecordedCall {
  /** Empty where the call does not say. */
  action: string;
  /** Decoded; null where it could not be. */
  input: object | null;
  readonly at: number;
  /** Null for a call that is given no answer. */
  status: number | null;
  /** Why it was refused; null where it was not. */
  code: string | null;
}

/** A policy: false refuses the call with UnauthorizedOperation. */
export type Authorize = (call: { action: string; input: object; accessKeyId: string }) => boolean;

interface Front {
  readonly world: World;
  readonly credentials: readonly Credentials[];
  readonly wallClock: () => number;
  readonly authorize: Authorize | null;
  /** What is to go wrong next, by action. */
  readonly faults: ReadonlyMap<string, Fault[]>;
  readonly calls: RecordedCall[];
  readonly violations: string[];
}

const VERSION = "2016-11-15";
const FORM = "application/x-www-form-urlencoded";
const BODY_CHARS_MAX = 1024 * 1024;

/** Answers one call, or cuts its line; records it either way. */
export async function handle(front: Front, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const call: RecordedCall = { action: "", input: null, at: front.world.clock(), status: null, code: null };
  const requestId = `req-${front.calls.push(call)}`;
  const body = await readText(incoming);
  try {
    const answer = answerTo(front, call, { incoming, body, requestId });
    if (answer === null) {
      outgoing.destroy();
    } else {
      send(call, outgoing, { status: 200, body: answer, requestId });
    }
  } catch (error) {
    const refusal = error instanceof Ec2Refusal ? error : new Ec2Refusal("InternalError", String(error), 500);
    if (refusal !== error || isClientFault(refusal)) {
      front.violations.push(`${call.action}: ${refusal.code}: ${refusal.message}`);
    }
    call.code = refusal.code;
    send(call, outgoing, { status: refusal.status, body: encodeRefusal(refusal, requestId), requestId });
  }
}

/** The answer's XML, or null where the caller gets none. Throws an Ec2Refusal. */
function answerTo(
  { world, credentials, wallClock, authorize, faults }: Front,
  call: RecordedCall,
  { incoming, body, requestId }: { incoming: IncomingMessage; body: string; requestId: string },
): string | null {
  const { method = "", url: target = "", headers } = incoming;
  if (method !== "POST" || target !== "/" || !(headers["content-type"] ?? "").startsWith(FORM)) {
    throw new Ec2Refusal("MalformedQueryString", "The stand-in takes a form by POST at /.");
  }
  const query = readQuery(body);
  const { action } = query;
  call.action = action;
  const place = { region: world.place.region, credentials, now: wallClock() };
  const accessKeyId = checkSignature({ method, target, headers, body }, place);
  const { output, input, perform } = readCall(query);
  call.input = input;
  if (authorize?.({ action, input, accessKeyId }) === false) {
    throw new Ec2Refusal("UnauthorizedOperation", "You are not authorized to perform this operation.", 403);
  }
  world.buckets.take(bucketOf(action, input), 1);
  if ("DryRun" in input && input.DryRun === true) {
    throw new Ec2Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
  }
  settle(world);
  const fault = faults.get(action)?.shift() ?? drawFault(world);
  const answer = carryOut(fault, () => perform(world, input));
  return answer === null ? null : encodeAnswer(action, output, answer, requestId);
}

function readCall(query: Query) {
  const operation = operationOf(query.action);
  const perform = actionOf(query.action);
  if (operation === null || perform === null) {
    throw new Ec2Refusal(
      "InvalidAction",
      `The action ${query.action.slice(0, 100)} is not valid for this web service.`,
    );
  }
  if (query.version !== VERSION) {
    throw new Ec2Refusal("NoSuchVersion", `The requested version (${query.version.slice(0, 20)}) is not valid.`);
  }
  return { output: operation.output, input: decodeInput(operation.input, query), perform };
}

function send(
  call: RecordedCall,
  outgoing: ServerResponse,
  { status, body, requestId }: { status: number; body: string; requestId: string },
): void {
  call.status = status;
  outgoing.writeHead(status, { "content-type": "text/xml;charset=UTF-8", "x-amzn-requestid": requestId });
  outgoing.end(body);
}

async function readText(incoming: IncomingMessage): Promise<string> {
  let text = "";
  try {
    for await (const chunk of incoming.setEncoding("utf8") as AsyncIterable<string>) {
      text = text.length > BODY_CHARS_MAX ? text : text + chunk;
    }
  } catch {
    // The client left while sending: the answer goes nowhere.
  }
  return text;
}
